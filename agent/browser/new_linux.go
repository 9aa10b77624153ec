package browser

import (
	"os"
	"os/user"
)

// New is the installer of this system: as root for all users, otherwise for
// oneself.
func New() Installer {
	return &Linux{Run: Exec, Users: func() ([]User, error) {
		if os.Geteuid() == 0 {
			return passwd("/")
		}
		u, err := user.Current()
		if err != nil {
			return nil, err
		}
		return []User{{Name: u.Username, Home: u.HomeDir, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}}, nil
	}}
}
