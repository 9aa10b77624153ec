package main

import "path/filepath"

// defaultState is the folder of the agent's state.
func defaultState(getenv func(string) string) string {
	return filepath.Join(getenv("ProgramData"), "gatepost-agent")
}
