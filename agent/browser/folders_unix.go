//go:build unix

package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// folderOwners lists the people that folders belong to.
func folderOwners(dir string, first uint32) ([]User, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("find the users: %w", err)
	}
	var users []User
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.IsDir() {
			continue
		}
		if uid, gid, ok := owner(info); ok && uid >= first {
			if gid < first {
				gid = uid // a folder of root's group makes nobody a member of it
			}
			users = append(users, User{Name: e.Name(), Home: filepath.Join(dir, e.Name()), UID: uid, GID: gid})
		}
	}
	return users, nil
}

// owner is who a folder belongs to.
func owner(info os.FileInfo) (uid, gid uint32, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return stat.Uid, stat.Gid, true
}
