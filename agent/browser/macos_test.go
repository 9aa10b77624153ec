package browser

import (
	"crypto/x509"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	findAll = "/usr/bin/security find-certificate -a -p /Library/Keychains/System.keychain"
	asAnn   = "/bin/launchctl asuser 501 /usr/bin/sudo -n -H -u #501 /usr/bin/security set-identity-preference -s "
)

func newMac(t *testing.T) (*MacOS, *recorder) {
	r := &recorder{t: t}
	return &MacOS{Root: t.TempDir(), Run: r.mac, Users: func() ([]User, error) { return []User{{Name: "ann", UID: 501, GID: 20}}, nil }}, r
}

func TestMacOS(t *testing.T) {
	t.Parallel()
	m, r := newMac(t)
	a := newAuthority(t, "Device CA")
	other := a.credential(t, "other", 0).Certificate
	r.certs = []*x509.Certificate{other}
	first, second := a.credential(t, "d1", time.Minute), a.credential(t, "d1", 0)
	id := identity(first.Certificate)

	check(t, m.Install(t.Context(), first, deviceURL))
	prefer := asAnn + "https://device.example.com/ -Z "
	r.want("install", findAll, "/usr/bin/security -i", findAll, prefer+id+" "+systemKeychain, findAll)
	wantInstalled(t, m, first.Certificate, 1, 1)
	r.lines = nil

	check(t, m.Install(t.Context(), first, deviceURL))
	r.want("again", findAll, prefer+id+" "+systemKeychain, findAll)

	check(t, m.Install(t.Context(), second, "https://new.example.com"))
	id2 := identity(second.Certificate)
	r.want("renew, elsewhere",
		asAnn+"https://device.example.com/ -n",
		findAll, "/usr/bin/security -i", findAll,
		asAnn+"https://new.example.com/ -Z "+id2+" "+systemKeychain,
		findAll, "/usr/bin/security delete-identity -Z "+id+" "+systemKeychain)
	wantInstalled(t, m, second.Certificate, 1, 1)
	r.lines = nil

	check(t, m.Remove(t.Context()))
	r.want("remove", asAnn+"https://new.example.com/ -n", findAll, "/usr/bin/security delete-identity -Z "+id2+" "+systemKeychain)
	if len(r.certs) != 1 || !r.certs[0].Equal(other) {
		t.Errorf("%d certificates are left, want the other one", len(r.certs))
	}
	check(t, filepath.WalkDir(m.Root, func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() || d.Name() == "Gatepost" {
			t.Error(path, " is left")
		}
		return err
	}))
	check(t, m.Remove(t.Context()))
	wantInstalled(t, m, nil, 0, 0)
}

// TestMacOSFails: what fails is tried again by the next call, and forgotten by
// none.
func TestMacOSFails(t *testing.T) {
	t.Parallel()
	m, r := newMac(t)
	a := newAuthority(t, "Device CA")
	first, second := a.credential(t, "d1", time.Minute), a.credential(t, "d1", 0)

	r.refuses = "asuser"
	if err := m.Install(t.Context(), first, deviceURL); err == nil || !strings.Contains(err.Error(), "ann (who must be signed in") {
		t.Errorf("a user who is away: %v", err)
	}
	wantInstalled(t, m, first.Certificate, 1, 1)

	r.refuses = "delete-identity"
	if err := m.Install(t.Context(), second, deviceURL); err == nil {
		t.Error("nothing was said of an old identity that stays")
	}
	if len(r.certs) != 2 {
		t.Errorf("%d certificates", len(r.certs))
	}
	if err := m.Remove(t.Context()); err == nil {
		t.Error("nothing was said of identities that stay")
	}
	r.refuses = ""
	check(t, m.Remove(t.Context()))
	if len(r.certs) != 0 {
		t.Errorf("%d certificates are left", len(r.certs))
	}

	r.refuses = "security -i"
	if err := m.Install(t.Context(), first, deviceURL); err == nil || !strings.Contains(err.Error(), "which root can") {
		t.Errorf("import: %v", err)
	}
	check(t, os.WriteFile(m.recordFile(), []byte("{"), 0o600))
	if err := m.Install(t.Context(), first, deviceURL); err == nil || !strings.Contains(err.Error(), m.recordFile()) {
		t.Errorf("a broken record: %v", err)
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	c := newAuthority(t, `A & <B> "C"`).credential(t, "d1", 0).Certificate
	value, _, err := selection(c, deviceURL)
	check(t, err)
	text := profile(value)
	if again := profile(value); string(again) != string(text) {
		t.Error("two profiles of one rule differ")
	}
	d := xml.NewDecoder(strings.NewReader(string(text)))
	d.Strict = true
	var values, uuids int
	seen := map[string]bool{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		if chars, ok := token.(xml.CharData); ok {
			if string(chars) == value {
				values++
			}
			if s := string(chars); len(s) == 36 && strings.Count(s, "-") == 4 && !seen[s] {
				seen[s] = true
				uuids++
			}
		}
	}
	if n := len(macBrowsers()); values != n || uuids != n+1 {
		t.Errorf("%d values and %d UUIDs for %d browsers in\n%s", values, uuids, n, text)
	}
}
