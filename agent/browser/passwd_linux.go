package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// People of a Linux system have user IDs from 1000, by login.defs; those from
// 60000 are nobody and what systemd hands out.
const (
	firstPerson = 1000
	lastPerson  = 59999
)

// passwd lists the people of a Linux system: those of /etc/passwd who can log
// in, and the owners of the folders in /home, whose accounts may be in a
// directory elsewhere. A home that is not its user's own does not count.
func passwd(root string) ([]User, error) {
	text, err := os.ReadFile(filepath.Join(root, "/etc/passwd"))
	if err != nil {
		return nil, fmt.Errorf("find the users: %w", err)
	}
	var users []User
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 7 || strings.HasSuffix(f[6], "/nologin") || strings.HasSuffix(f[6], "/false") {
			continue
		}
		uid, err := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err != nil || err2 != nil || uid < firstPerson || uid > lastPerson {
			continue
		}
		users = append(users, User{Name: f[0], Home: filepath.Join(root, f[5]), UID: uint32(uid), GID: uint32(gid)})
	}
	folders, err := folderOwners(filepath.Join(root, "/home"), firstPerson)
	if err != nil {
		return nil, err
	}
	for _, u := range folders {
		if !slices.ContainsFunc(users, func(o User) bool { return o.Home == u.Home }) {
			users = append(users, u)
		}
	}
	return slices.DeleteFunc(users, func(u User) bool { return !atHome(u) }), nil
}

// atHome tells whether the home is there and the user's own.
func atHome(u User) bool {
	info, err := os.Stat(u.Home)
	if err != nil || !info.IsDir() {
		return false
	}
	uid, _, ok := owner(info)
	return ok && uid == u.UID
}
