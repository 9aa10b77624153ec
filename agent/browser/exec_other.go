//go:build !unix && !windows

package browser

import (
	"os"
	"os/exec"
)

func become(*exec.Cmd, *User) (release func() error, err error) {
	return func() error { return nil }, nil
}

func owner(os.FileInfo) (uid, gid uint32, ok bool) { return 0, 0, false }
