//go:build !linux

package main

import (
	"gatepost.dev/agent"
	"gatepost.dev/agent/browser"
)

// browsersOf are the browsers that the agent is to serve.
func browsersOf(agent.Browsers) browser.Installer { return browser.New() }
