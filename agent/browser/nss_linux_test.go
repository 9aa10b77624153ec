package browser

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nobody is a user that every Linux system has, and that is not root.
const nobody = 65534

func TestInstallRenewRemove(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "Device CA")
	u := me(t)
	l := linux(t, u)
	other := newAuthority(t, "Other CA").credential(t, "other", time.Hour)
	newDatabase(t, nssdb(u), "")
	importInto(t, nssdb(u), other)
	before := listing(t, nssdb(u))

	first := a.credential(t, "d1", 2*time.Minute)
	for range 2 {
		check(t, l.Install(t.Context(), first, deviceURL))
		wantInstalled(t, l, first.Certificate, 1, len(policyFolders()))
	}
	if got := strings.Count(listing(t, nssdb(u)), "u,u,u"); got != 2 {
		t.Errorf("%d certificates with keys are there, want ours and the other", got)
	}
	for name, next := range map[string]Credential{
		"renewed":     a.credential(t, "d1", time.Minute),
		"at once":     a.credential(t, "d1", time.Minute),
		"older":       a.credential(t, "d1", time.Hour),
		"other ID":    a.credential(t, "d2", 0),
		"other again": newAuthority(t, "Next CA").credential(t, "other", 0),
	} {
		check(t, l.Install(t.Context(), next, deviceURL))
		wantInstalled(t, l, next.Certificate, 1, len(policyFolders()))
		if got := listing(t, nssdb(u)); strings.Count(got, "u,u,u") != 2 || strings.Count(got, "< ") != 2 {
			t.Errorf("%s: there is\n%s", name, got)
		}
	}
	for range 2 {
		check(t, l.Remove(t.Context()))
	}
	if after := listing(t, nssdb(u)); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	check(t, filepath.WalkDir(l.Root, func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() || strings.Contains(path, "policies") {
			t.Error(path, " is left")
		}
		return err
	}))
}

// TestInterrupted: an import that ended after its first half is done again.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	u := me(t)
	l := linux(t, u)
	c := newAuthority(t, "Device CA").credential(t, "d1", 0)
	newDatabase(t, nssdb(u), "")
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate.Raw}))
	nss(t, "certutil", "-A", "-d", "sql:"+nssdb(u), "-n", nicknameOf(c.Certificate), "-t", ",,", "-a", "-i", write(t, text))
	check(t, l.Install(t.Context(), c, deviceURL))
	if got := listing(t, nssdb(u)); strings.Count(got, "u,u,u") != 1 || strings.Count(got, "< ") != 1 {
		t.Errorf("there is\n%s", got)
	}
}

// TestSameKey: a certificate that goes does not take the key of the next along.
func TestSameKey(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "Device CA")
	u := me(t)
	l := linux(t, u)
	first := a.credential(t, "d1", time.Minute)
	check(t, l.Install(t.Context(), first, deviceURL))
	template := *first.Certificate
	second := Credential{sign(t, &template, a.cert, first.Key.(*ecdsa.PrivateKey), a.key), first.Key}
	check(t, l.Install(t.Context(), second, deviceURL))
	wantInstalled(t, l, second.Certificate, 1, len(policyFolders()))
	if got := listing(t, nssdb(u)); strings.Count(got, "u,u,u") != 1 || strings.Count(got, "< ") != 1 {
		t.Errorf("there is\n%s", got)
	}
	check(t, l.Remove(t.Context()))
	if got := listing(t, nssdb(u)); strings.Contains(got, "u,u,u") || strings.Contains(got, "< ") {
		t.Errorf("there is\n%s", got)
	}
}

// TestSameSubject: NSS gives all certificates of a subject one nickname, so the
// user's own must not be taken for ours.
func TestSameSubject(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "Device CA")
	u := me(t)
	l := linux(t, u)
	newDatabase(t, nssdb(u), "")
	importInto(t, nssdb(u), a.credential(t, "d1", time.Hour))
	before := listing(t, nssdb(u))
	for _, age := range []time.Duration{2 * time.Hour, time.Hour, time.Minute} {
		c := a.credential(t, "d1", age)
		check(t, l.Install(t.Context(), c, deviceURL))
		wantInstalled(t, l, c.Certificate, 1, len(policyFolders()))
	}
	check(t, l.Remove(t.Context()))
	if after := listing(t, nssdb(u)); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestUsers installs as root for somebody else, who gets it as his own.
func TestUsers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root can become somebody else
	}
	u := newHome(t, nobody, nobody)
	l := linux(t, u)
	c := newAuthority(t, "Device CA").credential(t, "d1", 0)
	check(t, l.Install(t.Context(), c, deviceURL))
	wantInstalled(t, l, c.Certificate, 1, len(policyFolders()))
	for _, name := range []string{".pki", ".pki/nssdb", ".pki/nssdb/key4.db"} {
		info, err := os.Stat(filepath.Join(u.Home, name))
		check(t, err)
		if uid, _, _ := owner(info); uid != nobody || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s belongs to %d with %v", name, uid, info.Mode())
		}
	}
	check(t, l.Remove(t.Context()))
	wantInstalled(t, l, nil, 0, 0)

	// A user who leads us elsewhere leads us no further than he could go himself.
	v := newHome(t, nobody, nobody)
	elsewhere := me(t)
	check(t, os.Symlink(elsewhere.Home, filepath.Join(v.Home, ".pki")))
	if err := linux(t, v).Install(t.Context(), c, deviceURL); err == nil {
		t.Error("it wrote through a symbolic link")
	}
	if entries, err := os.ReadDir(elsewhere.Home); err != nil || len(entries) != 0 {
		t.Errorf("elsewhere: %v, %v", entries, err)
	}
}

func TestDatabases(t *testing.T) {
	t.Parallel()
	u := me(t)
	l := linux(t, u)
	shared := filepath.Join(u.Home, ".local/share/pki/nssdb")
	profile := filepath.Join(u.Home, ".mozilla/firefox/x1.default-esr")
	newDatabase(t, shared, "")
	newDatabase(t, profile, "")
	check(t, os.MkdirAll(filepath.Join(u.Home, ".mozilla/firefox/Crash Reports"), 0o700))
	check(t, os.WriteFile(filepath.Join(u.Home, ".mozilla/firefox/profiles.ini"), nil, 0o600))
	c := newAuthority(t, "Device CA").credential(t, "d1", 0)
	check(t, l.Install(t.Context(), c, deviceURL))
	wantInstalled(t, l, c.Certificate, 2, len(policyFolders()))
	if _, err := os.Stat(nssdb(u)); !os.IsNotExist(err) {
		t.Error("a database was made that hides the one Chromium uses: ", err)
	}
	if got := nss(t, "certutil", "-L", "-d", "sql:"+shared); strings.Contains(got, "C") && strings.Contains(got, "C,,") {
		t.Errorf("an authority is trusted:\n%s", got)
	}
}

// TestPassword: one user's database with a password keeps nobody else from the
// certificate.
func TestPassword(t *testing.T) {
	t.Parallel()
	u, v := me(t), me(t)
	l := linux(t, u, v)
	newDatabase(t, nssdb(u), "a secret of ann's")
	c := newAuthority(t, "Device CA").credential(t, "d1", 0)
	err := l.Install(t.Context(), c, deviceURL)
	if err == nil || !strings.Contains(err.Error(), "has a password of its own") || !strings.Contains(err.Error(), nssdb(u)) {
		t.Errorf("it says: %v", err)
	}
	wantInstalled(t, l, c.Certificate, 1, len(policyFolders()))
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	l := linux(t)
	l.Policy = "mine.json"
	folder := filepath.Join(l.Root, policyFolders()[0])
	check(t, os.MkdirAll(folder, 0o755))
	theirs := filepath.Join(folder, "theirs.json")
	check(t, os.WriteFile(theirs, []byte("{}"), 0o600))
	c := newAuthority(t, `Device "CA" & more`).credential(t, "d1", 0)
	check(t, l.Install(t.Context(), c, "https://device.example.com:8443/some/path"))
	path := filepath.Join(folder, "mine.json")
	data, err := os.ReadFile(path)
	check(t, err)
	var policy map[string][]string
	check(t, json.Unmarshal(data, &policy))
	var got rule
	check(t, json.Unmarshal([]byte(policy[policyName][0]), &got))
	want := rule{"https://device.example.com:8443", filter{issuer{`Device "CA" & more`}}}
	if got != want || len(policy) != 1 || len(policy[policyName]) != 1 {
		t.Errorf("the policy is %s", data)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v: browsers run as anybody", info.Mode(), err)
	}
	check(t, l.Remove(t.Context()))
	if _, err := os.Stat(theirs); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "Device CA")
	c := a.credential(t, "d1", 0)
	nameless := newAuthority(t, "").credential(t, "d1", 0)
	for name, try := range map[string]struct {
		c    Credential
		url  string
		want string
	}{
		"http":           {c, "http://device.example.com", "must begin with https://"},
		"no host":        {c, "https:///x", "must begin with https://"},
		"userinfo":       {c, "https://a@b", "must begin with https://"},
		"no URL":         {c, "https://[", "device URL"},
		"no common name": {nameless, deviceURL, "no common name"},
		"other key":      {Credential{c.Certificate, nameless.Key}, deviceURL, "for another key"},
	} {
		if err := linux(t).Install(t.Context(), try.c, try.url); err == nil || !strings.Contains(err.Error(), try.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		c    Command
		want string
	}{
		"endless": {Command{Name: "yes"}, "it wrote on and on"},
		"missing": {Command{Name: "no-such-program"}, exec.ErrNotFound.Error()},
		"fails":   {Command{Name: "ls", Args: []string{"/no/such/file"}}, "No such file"},
	} {
		if _, err := Exec(t.Context(), try.c); err == nil || !strings.Contains(err.Error(), try.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := linux(t, me(t), me(t))
	l.Run = func(_ context.Context, c Command) (string, error) { return "", missing("certutil") }
	err := l.Install(t.Context(), newAuthority(t, "Device CA").credential(t, "d1", 0), deviceURL)
	if err == nil || strings.Count(err.Error(), "libnss3-tools") != 1 {
		t.Errorf("without NSS's programs: %v", err)
	}
	if out, err := Exec(t.Context(), Command{Name: "env"}); err != nil || strings.Contains(out, "HOME=") {
		t.Errorf("%q, %v: it inherits", out, err)
	}
}
