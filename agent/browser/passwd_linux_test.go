package browser

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPasswd(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root can make homes of others
	}
	root := t.TempDir()
	for home, ids := range map[string][2]int{
		"home/ann": {1000, 1000}, "home/stolen": {1009, 1000}, "home/directory": {2000, 0},
		"srv/bob": {1001, 100}, "var/daemon": {100, 100}, "home/locked": {1003, 1003}, "root": {0, 0},
	} {
		check(t, os.MkdirAll(filepath.Join(root, home), 0o700))
		check(t, os.Chown(filepath.Join(root, home), ids[0], ids[1]))
	}
	check(t, os.MkdirAll(filepath.Join(root, "etc"), 0o700))
	check(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(`root:x:0:0:root:/root:/bin/bash
ann:x:1000:1000:Ann:/home/ann:/bin/bash
bob:x:1001:100:Bob:/srv/bob:/bin/zsh
eve:x:1002:1002:Eve:/home/stolen:/bin/bash
gone:x:1004:1004::/home/gone:/bin/bash
daemon:x:100:100::/var/daemon:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
+::::::
broken
`), 0o600))
	users, err := passwd(root)
	check(t, err)
	got := map[string]User{}
	for _, u := range users {
		got[u.Name] = u
	}
	want := map[string]User{
		"ann":       {"ann", filepath.Join(root, "home/ann"), 1000, 1000, 0},
		"bob":       {"bob", filepath.Join(root, "srv/bob"), 1001, 100, 0},
		"directory": {"directory", filepath.Join(root, "home/directory"), 2000, 2000, 0},
		"locked":    {"locked", filepath.Join(root, "home/locked"), 1003, 1003, 0},
	}
	for name, u := range want {
		if got[name] != u {
			t.Errorf("%s: %+v, want %+v", name, got[name], u)
		}
	}
	if len(got) != len(want) {
		t.Errorf("found %+v", users)
	}
}
