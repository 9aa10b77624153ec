package browser

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newHome is a home folder that the user can reach; a test's own folder is for
// the one who runs the test alone. A browser's last process may still write
// there when it is removed.
func newHome(t *testing.T, uid, gid uint32) User {
	t.Helper()
	dir, err := os.MkdirTemp("", "browser-home-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	u := User{Name: "ann", Home: dir, UID: uid, GID: gid}
	if err := handOver(dir, &u); err != nil {
		t.Fatal(err)
	}
	return u
}

// me is a user who is the one that runs the test.
func me(t *testing.T) User { return newHome(t, uint32(os.Geteuid()), uint32(os.Getegid())) }

// linux is an installer for one user, whose system is a folder.
func linux(t *testing.T, users ...User) *Linux {
	return &Linux{Root: t.TempDir(), Users: func() ([]User, error) { return users, nil }, Run: Exec}
}

func nssdb(u User) string { return filepath.Join(u.Home, ".pki", "nssdb") }

// nss runs a program of NSS by another way than the product does.
func nss(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q (apt-get install libnss3-tools): %v: %.500s", name, args, err, out)
	}
	return string(out)
}

// newDatabase makes an NSS database that is the user's own.
func newDatabase(t *testing.T, dir, password string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	nss(t, "certutil", "-N", "-d", "sql:"+dir, "-f", write(t, password+"\n"))
}

// importInto imports a credential as somebody else does.
func importInto(t *testing.T, dir string, c Credential) {
	t.Helper()
	file, password, err := pack(c)
	if err != nil {
		t.Fatal(err)
	}
	nss(t, "pk12util", "-d", "sql:"+dir, "-i", write(t, string(file)), "-w", write(t, password+"\n"))
}

// write makes a file.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// listing is what certutil says of certificates and keys.
func listing(t *testing.T, dir string) string {
	t.Helper()
	keys, err := exec.CommandContext(t.Context(), "certutil", "-K", "-d", "sql:"+dir).CombinedOutput()
	if err != nil && !strings.Contains(string(keys), "no keys found") {
		t.Fatalf("certutil -K: %v: %s", err, keys)
	}
	return nss(t, "certutil", "-L", "-d", "sql:"+dir) + string(keys)
}
