package main

import (
	"os"
	"syscall"

	"gatepost.dev/agent"
	"gatepost.dev/agent/browser"
)

// browsersOf are the browsers that the agent is to serve.
func browsersOf(b agent.Browsers) browser.Installer {
	if b.Home == "" {
		return browser.New()
	}
	return &browser.Linux{Run: browser.Exec, Users: func() ([]browser.User, error) {
		info, err := os.Stat(b.Home)
		if err != nil {
			return nil, err
		}
		owner := info.Sys().(*syscall.Stat_t) // on Linux it is nothing else
		return []browser.User{{Name: b.Home, Home: b.Home, UID: owner.Uid, GID: owner.Gid}}, nil
	}}
}
