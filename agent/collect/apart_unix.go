//go:build unix

package collect

import (
	"os/exec"
	"syscall"
)

// apart has a program end together with the children that it made.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
