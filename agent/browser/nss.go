package browser

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// database is an NSS database, worked by NSS's own programs, which run as the
// user that it belongs to.
type database struct {
	dir  string
	user User
	run  Runner
}

// isDatabase tells whether there is one. A folder that cannot be looked into
// counts: certutil -N on a database that exists takes its password away.
func isDatabase(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "cert9.db"))
	return !errors.Is(err, os.ErrNotExist) && !isNotFolder(dir)
}

// isNotFolder tells whether a name is no folder: among Firefox's profiles there
// are files.
func isNotFolder(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && !info.IsDir()
}

// create makes the database if there is none, with the folders that it is in.
func (d database) create(ctx context.Context) error {
	if isDatabase(d.dir) {
		return nil
	}
	_, err := d.run(ctx, Command{Name: "mkdir", Args: []string{"-p", "-m", "700", filepath.Dir(d.dir), d.dir}, As: &d.user})
	if err != nil {
		return err
	}
	_, err = d.run(ctx, Command{Name: "certutil", Args: []string{"-N", "--empty-password", "-d", "sql:" + d.dir}, As: &d.user})
	return err
}

// certutil runs it on the database. The password of the database is read from a
// file that has none: asked for one, NSS would wait at the terminal.
func (d database) certutil(ctx context.Context, args ...string) (string, error) {
	args = append(args, "-d", "sql:"+d.dir, "-f", os.DevNull)
	return d.run(ctx, Command{Name: "certutil", Args: args, As: &d.user})
}

// install makes the certificate the only one of ours.
func (d database) install(ctx context.Context, c *x509.Certificate, file []byte, password string) error {
	want := nicknameOf(c)
	entries, err := d.entries(ctx)
	if err != nil {
		return err
	}
	if !entries[want].withKey() {
		if err := d.add(ctx, c, want, file, password); err != nil {
			return err
		}
	}
	ours, err := d.ours(ctx)
	for _, n := range ours {
		if n != want {
			err = errors.Join(err, d.remove(ctx, n))
		}
	}
	return err
}

// add imports a PKCS#12 file.
//
// The certificate comes first, by itself, since that is the one way to give it a
// nickname of its own: pk12util takes that of whatever certificate has the same
// subject, and what is called alike cannot be told apart afterwards. It is
// trusted for nothing. The file goes by the disk: a pipe of root's is not the
// user's to open.
func (d database) add(ctx context.Context, c *x509.Certificate, name string, file []byte, password string) (err error) {
	_, err = d.run(ctx, Command{
		Name:  "certutil",
		Args:  []string{"-A", "-n", name, "-t", ",,", "-a", "-d", "sql:" + d.dir, "-f", os.DevNull},
		Stdin: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})),
		As:    &d.user,
	})
	if err != nil {
		return withoutPassword(err)
	}
	dir, remove, err := stage(&d.user, map[string][]byte{"device.p12": file, "password": []byte(password + "\n")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	_, err = d.run(ctx, Command{Name: "pk12util", As: &d.user, Args: []string{"-i", filepath.Join(dir, "device.p12"),
		"-w", filepath.Join(dir, "password"), "-d", "sql:" + d.dir, "-k", os.DevNull}})
	if err != nil {
		_, e := d.certutil(ctx, "-D", "-n", name)
		return errors.Join(withoutPassword(err), e)
	}
	return nil
}

// withoutPassword says what to do about a database that is locked.
func withoutPassword(err error) error {
	if !strings.Contains(err.Error(), "uthenticate") {
		return err
	}
	return fmt.Errorf("the database has a password of its own (in Firefox: a primary password), which only its user knows: "+
		"import the certificate by hand, or take the password away and run this again: %w", err)
}

// remove deletes one of our certificates, and its key unless another one of ours
// has the same.
func (d database) remove(ctx context.Context, n string) error {
	entries, err := d.entries(ctx)
	if err != nil {
		return err
	}
	how := "-F"
	if !entries[n].withKey() {
		how = "-D"
	}
	gone, err := d.certificate(ctx, n)
	if err != nil {
		return err
	}
	for other := range entries {
		if other == n || !isOurs(other) {
			continue
		}
		if c, err := d.certificate(ctx, other); err != nil {
			return err
		} else if bytes.Equal(c.RawSubjectPublicKeyInfo, gone.RawSubjectPublicKeyInfo) {
			how = "-D"
		}
	}
	_, err = d.certutil(ctx, how, "-n", n)
	return err
}

// ours lists the nicknames that are ours.
func (d database) ours(ctx context.Context) ([]string, error) {
	entries, err := d.entries(ctx)
	names := slices.Sorted(maps.Keys(entries))
	return slices.DeleteFunc(names, func(n string) bool { return !isOurs(n) }), err
}

func isOurs(name string) bool { return strings.HasPrefix(name, nickname+"-") }

// trust is what a database says of a certificate, for three purposes: such as
// "u,u,u", where u is for a key that is there too.
type trust string

func (t trust) withKey() bool { return strings.Contains(string(t), "u") }

// listed is a line of certutil -L.
var listed = regexp.MustCompile(`(?m)^(\S.*?) +([cCpPTuwg]*,[cCpPTuwg]*,[cCpPTuwg]*) *$`)

// entries lists the nicknames that there are.
func (d database) entries(ctx context.Context) (map[string]trust, error) {
	out, err := d.certutil(ctx, "-L")
	entries := map[string]trust{}
	for _, m := range listed.FindAllStringSubmatch(out, -1) {
		entries[m[1]] = trust(m[2])
	}
	return entries, err
}

// certificate is the one of a nickname of ours. certutil prints all that have
// the same subject.
func (d database) certificate(ctx context.Context, n string) (*x509.Certificate, error) {
	out, err := d.certutil(ctx, "-L", "-a", "-n", n)
	if err != nil {
		return nil, err
	}
	found, err := parsePEM([]byte(out))
	for _, c := range found {
		if nicknameOf(c) == n {
			return c, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("certificate %q is another one than it says", n), err)
}

// parsePEM reads the certificates among what a program printed.
func parsePEM(rest []byte) (found []*x509.Certificate, errs error) {
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return found, errs
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		found = append(found, c)
	}
}

// nicknameOf is what a certificate of ours is called: each has a name of its
// own, so that it can be deleted by it.
func nicknameOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return nickname + "-" + hex.EncodeToString(sum[:8])
}
