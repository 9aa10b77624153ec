//go:build !windows

package main

import (
	"os"
	"path/filepath"
	"runtime"
)

// defaultState is the folder of the agent's state: the system's, or the user's
// who tries it.
func defaultState(getenv func(string) string) string {
	switch home := getenv("HOME"); {
	case os.Geteuid() != 0 && home != "":
		return filepath.Join(home, ".gatepost-agent")
	case runtime.GOOS == "darwin":
		return "/Library/Application Support/gatepost-agent"
	}
	return "/var/lib/gatepost-agent"
}
