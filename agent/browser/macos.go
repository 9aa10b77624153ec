package browser

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// systemKeychain is where every user's browsers look, and root can write while
// nobody is signed in.
const systemKeychain = "/Library/Keychains/System.keychain"

// macFolder has what the installer keeps on macOS.
const macFolder = "/Library/Application Support/Gatepost"

// MacOS is the browsers of a Mac: Safari, Chrome and its relatives, and Firefox,
// which all look into the keychain.
//
// Safari goes by an identity preference of each user, which can be set while the
// user is signed in. Chrome and its relatives go by managed preferences, which
// macOS throws away unless they came in a configuration profile. No program may
// install one, so Install writes it to Profile() for the management system to
// push. Until then Chrome asks once per start.
type MacOS struct {
	Root  string // before every path of files of ours; "" is the system itself
	Users func() ([]User, error)
	Run   Runner
}

// record is what the installer remembers: a keychain has no place for a mark.
// It is written before the keychain is.
type record struct {
	Identities []string `json:"identities"` // SHA-1 of the certificates, as security(1) has them
	Origin     string   `json:"origin"`     // for which the users prefer them
}

// Profile is where the configuration profile is.
func (m *MacOS) Profile() string {
	return filepath.Join(m.Root, macFolder, nickname+".mobileconfig")
}

func (m *MacOS) recordFile() string { return filepath.Join(m.Root, macFolder, "browser.json") }

// Install implements Installer.
func (m *MacOS) Install(ctx context.Context, c Credential, deviceURL string) error {
	value, origin, err := selection(c.Certificate, deviceURL)
	if err != nil {
		return err
	}
	r, err := m.load()
	if err != nil {
		return err
	}
	if r.Origin != "" && r.Origin != origin {
		err = m.prefer(ctx, r.Origin, "")
	}
	id := identity(c.Certificate)
	if !slices.Contains(r.Identities, id) {
		r.Identities = append(r.Identities, id)
	}
	r.Origin = origin
	if err := m.save(r); err != nil {
		return err
	}
	if e := m.importOnce(ctx, c); e != nil {
		return errors.Join(err, e)
	}
	err = errors.Join(err, m.prefer(ctx, origin, id), replace(m.Profile(), profile(value)))
	return errors.Join(err, m.drop(ctx, r, func(old string) bool { return old != id }))
}

// Remove implements Installer. The configuration profile goes as it came: by the
// management system.
func (m *MacOS) Remove(ctx context.Context) error {
	r, err := m.load()
	if err != nil {
		return err
	}
	if r.Origin != "" {
		err = m.prefer(ctx, r.Origin, "")
	}
	if e := m.drop(ctx, r, func(string) bool { return true }); e != nil {
		return errors.Join(err, e)
	}
	for _, path := range []string{m.Profile(), m.recordFile()} {
		if e := os.Remove(path); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	_ = os.Remove(filepath.Dir(m.recordFile())) // if nothing else is in it
	return err
}

// Installed implements Installer.
func (m *MacOS) Installed(ctx context.Context) ([]Place, error) {
	r, err := m.load()
	if err != nil || len(r.Identities) == 0 {
		return nil, err
	}
	found, err := m.certificates(ctx)
	var places []Place
	for _, c := range found {
		if slices.Contains(r.Identities, identity(c)) {
			places = append(places, Place{systemKeychain, c})
		}
	}
	if _, e := os.Stat(m.Profile()); e == nil {
		places = append(places, Place{Where: m.Profile()})
	}
	return places, err
}

// importOnce imports the credential unless it is there. security(1) takes the
// file's password as an argument, which everybody could read, or, as here, reads
// the whole command from its standard input.
//
// Every program may use the key (-A) and none may export it (-x): the system's
// keychain belongs to no user who could be asked, and a browser's processes that
// do the TLS are not the browser that a list would name.
func (m *MacOS) importOnce(ctx context.Context, c Credential) (err error) {
	if there, err := m.holds(ctx, c.Certificate); err != nil || there {
		return err
	}
	file, password, err := pack(c)
	if err != nil {
		return err
	}
	dir, remove, err := stage(nil, map[string][]byte{"device.p12": file})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	line := fmt.Sprintf("import %q -k %q -f pkcs12 -P %s -x -A\n", filepath.Join(dir, "device.p12"), systemKeychain, password)
	if _, err := m.Run(ctx, Command{Name: "/usr/bin/security", Args: []string{"-i"}, Stdin: line}); err != nil {
		return fmt.Errorf("import into %s, which root can: %w", systemKeychain, err)
	}
	if there, err := m.holds(ctx, c.Certificate); err != nil || !there {
		return errors.Join(fmt.Errorf("security import said nothing, but the certificate is not in %s: run this as root", systemKeychain), err)
	}
	return nil
}

func (m *MacOS) holds(ctx context.Context, c *x509.Certificate) (bool, error) {
	found, err := m.certificates(ctx)
	return slices.ContainsFunc(found, c.Equal), err
}

func (m *MacOS) certificates(ctx context.Context) ([]*x509.Certificate, error) {
	out, err := m.Run(ctx, Command{Name: "/usr/bin/security", Args: []string{"find-certificate", "-a", "-p", systemKeychain}})
	if err != nil {
		return nil, err
	}
	found, _ := parsePEM([]byte(out)) // what Go cannot read is not ours
	return found, nil
}

// prefer sets the users' identity preference for a site, or with no identity
// takes it away. It is for everything below the origin, which the slash at its
// end says.
func (m *MacOS) prefer(ctx context.Context, origin, id string) error {
	users, err := m.Users()
	for _, u := range users {
		uid := strconv.FormatUint(uint64(u.UID), 10)
		// In the user's session, where the login keychain is unlocked.
		args := []string{"asuser", uid, "/usr/bin/sudo", "-n", "-H", "-u", "#" + uid,
			"/usr/bin/security", "set-identity-preference", "-s", origin + "/"}
		if id == "" {
			args = append(args, "-n")
		} else {
			args = append(args, "-Z", id, systemKeychain)
		}
		if _, e := m.Run(ctx, Command{Name: "/bin/launchctl", Args: args}); e != nil {
			err = errors.Join(err, fmt.Errorf("choose the certificate for Safari of %s (who must be signed in; run this again then): %w", u.Name, e))
		}
	}
	return err
}

// drop deletes the identities of ours that are not wanted, and forgets them.
func (m *MacOS) drop(ctx context.Context, r record, unwanted func(id string) bool) error {
	found, err := m.certificates(ctx)
	if err != nil {
		return err
	}
	var kept []string
	for _, id := range r.Identities {
		there := slices.ContainsFunc(found, func(c *x509.Certificate) bool { return identity(c) == id })
		if !unwanted(id) {
			kept = append(kept, id)
		} else if there {
			_, e := m.Run(ctx, Command{Name: "/usr/bin/security", Args: []string{"delete-identity", "-Z", id, systemKeychain}})
			if e != nil {
				err = errors.Join(err, e)
				kept = append(kept, id)
			}
		}
	}
	r.Identities = kept
	return errors.Join(err, m.save(r))
}

func (m *MacOS) load() (record, error) {
	var r record
	data, err := os.ReadFile(m.recordFile())
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return r, fmt.Errorf("read which certificates are ours from %s: %w", m.recordFile(), err)
	}
	return r, nil
}

func (m *MacOS) save(r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return replace(m.recordFile(), append(data, '\n'))
}

// identity is how security(1) tells certificates apart.
func identity(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
