//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// fileOwner is the user that owns a file, and whether it is the one that runs
// this program. ok tells whether the system has such owners, and with them
// modes.
func fileOwner(info fs.FileInfo) (owner uint32, ours, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false, false
	}
	return stat.Uid, int(stat.Uid) == os.Geteuid(), true
}
