//go:build windows

package main

// yield does nothing here.
func yield() {}
