package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// policyFolders is where the browsers of Linux read their policies: every file
// of it, each of which may be somebody else's.
func policyFolders() []string {
	return []string{
		"/etc/chromium/policies/managed",
		"/etc/chromium-browser/policies/managed", // Ubuntu, and Chromium from a snap
		"/etc/opt/chrome/policies/managed",
		"/etc/opt/edge/policies/managed",
		"/etc/brave/policies/managed",
	}
}

// Linux is the browsers of a Linux system: Chromium and its relatives, which
// keep certificates in an NSS database per user, and Firefox, which keeps one
// per profile.
type Linux struct {
	Root   string // before every system path; "" is the system itself
	Policy string // name of the policy file; "" is gatepost-device.json
	Users  func() ([]User, error)
	Run    Runner
}

// Install implements Installer.
func (l *Linux) Install(ctx context.Context, c Credential, deviceURL string) error {
	value, _, err := selection(c.Certificate, deviceURL)
	if err != nil {
		return err
	}
	file, password, err := pack(c)
	if err != nil {
		return err
	}
	err = l.eachDatabase(true, func(db database) error {
		if err := db.create(ctx); err != nil {
			return err
		}
		return db.install(ctx, c.Certificate, file, password)
	})
	return errors.Join(err, l.writePolicies(value))
}

// Remove implements Installer. It leaves a database that Install created: the
// browser keeps things of its own there since.
func (l *Linux) Remove(ctx context.Context) error {
	err := l.eachDatabase(false, func(db database) error {
		nicknames, err := db.ours(ctx)
		for _, n := range nicknames {
			err = errors.Join(err, db.remove(ctx, n))
		}
		return err
	})
	for _, path := range l.policies() {
		e := os.Remove(path)
		if e == nil {
			// A folder that is empty now says nothing to any browser.
			for dir := filepath.Dir(path); os.Remove(dir) == nil && filepath.Base(dir) != "policies"; {
				dir = filepath.Dir(dir)
			}
		} else if !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("remove a browser policy, which root can: %w", e))
		}
	}
	return err
}

// Installed implements Installer.
func (l *Linux) Installed(ctx context.Context) ([]Place, error) {
	var places []Place
	err := l.eachDatabase(false, func(db database) error {
		nicknames, err := db.ours(ctx)
		for _, n := range nicknames {
			if c, e := db.certificate(ctx, n); e != nil {
				err = errors.Join(err, e)
			} else {
				places = append(places, Place{db.dir, c})
			}
		}
		return err
	})
	for _, path := range l.policies() {
		if _, e := os.Stat(path); e == nil {
			places = append(places, Place{Where: path})
		}
	}
	return places, err
}

func (l *Linux) policies() []string {
	name := l.Policy
	if name == "" {
		name = nickname + ".json"
	}
	paths := policyFolders()
	for i, dir := range paths {
		paths[i] = filepath.Join(l.Root, dir, name)
	}
	return paths
}

// writePolicies writes a file for each browser, installed or not: it may be
// tomorrow.
func (l *Linux) writePolicies(value string) error {
	data, err := policyFile(value)
	if err != nil {
		return err
	}
	for _, path := range l.policies() {
		if err := replace(path, data); err != nil {
			return fmt.Errorf("write the policy by which browsers choose the certificate (run this as root, "+
				"or have an administrator write it): %w", err)
		}
	}
	return nil
}

// eachDatabase calls f for the databases of every user. One that fails does not
// keep the others from their turn, but for want of NSS's programs all would.
func (l *Linux) eachDatabase(create bool, f func(database) error) error {
	users, err := l.Users()
	if err != nil {
		return err
	}
	for _, u := range users {
		dirs, e := databases(u.Home, create)
		err = errors.Join(err, e)
		for _, dir := range dirs {
			e := f(database{dir: dir, user: u, run: l.Run})
			if errors.Is(e, exec.ErrNotFound) {
				return errors.Join(err, e)
			}
			if e != nil {
				err = errors.Join(err, fmt.Errorf("certificates of %s in %s: %w", u.Name, dir, e))
			}
		}
	}
	return err
}

// databases lists the NSS databases below a home, and if create is set the one
// that Chromium wants, even if it is not there yet.
//
// Chromium keeps to ~/.pki/nssdb if there is one, otherwise to that below
// ~/.local/share. So the first must not be made where the second is in use: its
// certificates would be gone.
func databases(home string, create bool) ([]string, error) {
	chromium := []string{".pki/nssdb", ".local/share/pki/nssdb", "snap/chromium/current/.pki/nssdb"}
	firefox := []string{".mozilla/firefox", ".config/mozilla/firefox", "snap/firefox/common/.mozilla/firefox",
		".var/app/org.mozilla.firefox/.mozilla/firefox"}
	var found []string
	for _, pattern := range chromium {
		found = append(found, filepath.Join(home, pattern))
	}
	var errs error
	for _, pattern := range firefox {
		profiles, err := os.ReadDir(filepath.Join(home, pattern))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = errors.Join(errs, err)
		}
		for _, p := range profiles {
			found = append(found, filepath.Join(home, pattern, p.Name()))
		}
	}
	found = slices.DeleteFunc(found, func(dir string) bool { return !isDatabase(dir) })
	wanted := filepath.Join(home, chromium[0])
	other := filepath.Join(home, chromium[1])
	if create && !slices.Contains(found, wanted) && !slices.Contains(found, other) {
		found = append([]string{wanted}, found...)
	}
	return found, errs
}
