package browser

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// become has SYSTEM's command run as the user of a session, since a certificate
// in CurrentUser can be put there by that user only.
func become(cmd *exec.Cmd, user *User) (release func() error, err error) {
	release = func() error { return nil }
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true}
	if user == nil || user.Session == 0 {
		return release, nil
	}
	var token windows.Token
	if err := windows.WTSQueryUserToken(user.Session, &token); err != nil {
		return nil, fmt.Errorf("become the user of session %d, which SYSTEM may: %w", user.Session, err)
	}
	cmd.Env, err = token.Environ(false)
	if err != nil {
		return nil, errors.Join(err, token.Close())
	}
	cmd.SysProcAttr.Token = syscall.Token(token)
	return token.Close, nil
}
