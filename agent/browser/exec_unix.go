//go:build unix

package browser

import (
	"os"
	"os/exec"
	"syscall"
)

// become has root's command run as a user, with nothing of root's environment:
// what it opens in that user's home, through whatever links, is what the user
// could open anyway.
func become(cmd *exec.Cmd, user *User) (release func() error, err error) {
	release = func() error { return nil }
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"}
	cmd.Dir = "/"
	if user == nil {
		return release, nil
	}
	cmd.Env = append(cmd.Env, "HOME="+user.Home)
	if os.Geteuid() == 0 && user.UID != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user.UID, Gid: user.GID}}
	}
	return release, nil
}
