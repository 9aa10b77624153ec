// Package browser puts a device's client certificate where the browsers of its
// users find it, and writes the policy by which they show it to the provider
// without asking; and takes both away again.
//
// It does not obtain certificates, and it makes nobody trust the device
// authority: that one issues to devices, and no server's certificate may count
// because of it. So the authority's own certificate is not installed at all.
//
// The key is installed as software, not to be exported where the system knows
// such a thing. Whoever runs as the user, or administers the machine, can use it.
//
// Firefox takes the certificate from its profiles (Linux) or from the system
// (macOS, Windows), but has no policy that names a site: it asks once, and
// remembers the answer if told so. Its preference security.default_personal_cert
// = "Select Automatically" ends the question for every site on the Internet that
// asks for a certificate, which tells all of them which device this is. That is
// the administrator's to decide, in Firefox's own policies.json:
//
//	{"policies": {"Preferences": {"security.default_personal_cert":
//	  {"Value": "Select Automatically", "Status": "default"}}}}
package browser

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"gatepost.dev/certs"
)

// Credential is what browsers get.
type Credential struct {
	Certificate *x509.Certificate
	Key         crypto.Signer // one that can be copied: not of a TPM
}

// Place is where something of ours was found.
type Place struct {
	Where       string
	Certificate *x509.Certificate // nil: it is a policy
}

// Installer is the browsers of one system. Linux, MacOS and Windows are
// installers.
type Installer interface {
	// Install gives the users' browsers the credential, in place of that of an
	// earlier call, which goes when the new one is there. They will show it to the
	// origin of deviceURL. Calling it again is cheap and reaches the users that
	// came since. It does what it can: the error joins what failed.
	Install(ctx context.Context, c Credential, deviceURL string) error
	// Remove takes away what Install brought, for all users that it can reach.
	Remove(ctx context.Context) error
	// Installed tells what is there.
	Installed(ctx context.Context) ([]Place, error)
}

// User is somebody whose browsers get the certificate. Which fields count
// depends on the system.
type User struct {
	Name     string // for messages
	Home     string // folder
	UID, GID uint32 // Linux and macOS
	Session  uint32 // Windows: the session in which the user is signed in; 0: this process's own user
}

// Command is a program to be run. Nothing secret is in Args: everybody on the
// machine may read them.
type Command struct {
	Name  string
	Args  []string
	Stdin string
	As    *User // nil: as whoever runs this process
}

// Runner runs a program and returns its standard output. An error has its
// standard error in the text.
type Runner func(ctx context.Context, c Command) (string, error)

// nickname is how everything of ours is called: it begins with this.
const nickname = "gatepost-device"

// policyName is a list that Chromium and its relatives share.
const policyName = "AutoSelectCertificateForUrls"

// rule is one value of that list: JSON within a string.
type rule struct {
	Pattern string `json:"pattern"`
	Filter  filter `json:"filter"`
}

type filter struct {
	Issuer issuer `json:"ISSUER"`
}

type issuer struct {
	CN string `json:"CN"`
}

// policyFile is the policy as the browsers of Linux read it.
func policyFile(value string) ([]byte, error) {
	data, err := json.MarshalIndent(map[string][]string{policyName: {value}}, "", "  ")
	return append(data, '\n'), err
}

// selection is the rule that selects the certificate at the origin of a URL,
// and that origin.
func selection(c *x509.Certificate, deviceURL string) (value, origin string, err error) {
	u, err := url.Parse(deviceURL)
	if err != nil {
		return "", "", fmt.Errorf("device URL: %w", err)
	}
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return "", "", fmt.Errorf("device URL %q: it must begin with https:// and a host name", deviceURL)
	}
	if c.Issuer.CommonName == "" {
		return "", "", fmt.Errorf("the certificate's issuer %q has no common name, by which browsers could select it", c.Issuer)
	}
	origin = "https://" + u.Host
	text, err := json.Marshal(rule{origin, filter{issuer{c.Issuer.CommonName}}})
	return string(text), origin, err
}

// pack makes a PKCS#12 file of a credential, with a password that lives as long
// as the file.
func pack(c Credential) (file []byte, password string, err error) {
	password = rand.Text()
	file, err = certs.EncodePKCS12(c.Key, c.Certificate, nil, password)
	return file, password, err
}

// stage writes files that only the given user (nil: ours) can read, into a
// folder of their own. The folder is handed over last, when root writes there no
// more: from then on a user can only trick himself.
func stage(user *User, files map[string][]byte) (dir string, remove func() error, err error) {
	dir, err = os.MkdirTemp("", "gatepost-browser-")
	if err != nil {
		return "", nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	for name, data := range files {
		path := filepath.Join(dir, name)
		err = errors.Join(err, os.WriteFile(path, data, 0o600), handOver(path, user))
	}
	if err = errors.Join(err, handOver(dir, user)); err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return dir, remove, nil
}

// handOver makes a file the user's, if it has to.
func handOver(path string, user *User) error {
	if user == nil || os.Geteuid() != 0 || user.UID == 0 {
		return nil
	}
	return os.Lchown(path, int(user.UID), int(user.GID))
}

// replace writes a file that everybody may read: the whole of it or nothing.
// That which is there already is left alone.
func replace(path string, data []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+nickname+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	// CreateTemp's mode is 0600, and browsers run as anybody.
	err = errors.Join(err, os.Chmod(f.Name(), 0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
