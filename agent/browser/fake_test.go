package browser

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

// recorder is a system that is not there: it answers as that system does, and
// keeps what it was asked.
type recorder struct {
	t       *testing.T
	lines   []string // "name arg arg", without what changes from run to run
	certs   []*x509.Certificate
	refuses string // a command with this in it fails
}

func (r *recorder) record(c Command) error {
	line := c.Name + " " + strings.Join(c.Args, " ")
	if c.As != nil {
		line = c.As.Name + ": " + line
	}
	r.lines = append(r.lines, line)
	if r.refuses != "" && strings.Contains(line, r.refuses) {
		return errors.New("refused by the test")
	}
	return nil
}

// received takes a PKCS#12 file that came with its password, and makes sure that
// nobody else could read them.
func (r *recorder) received(file []byte, password string, c Command) {
	r.t.Helper()
	_, cert, err := pkcs12.Decode(file, password)
	check(r.t, err)
	r.certs = append(r.certs, cert)
	for _, arg := range c.Args {
		if strings.Contains(arg, password) || strings.Contains(arg, base64.StdEncoding.EncodeToString(file)[:40]) {
			r.t.Errorf("%q has a secret in it", arg)
		}
	}
	if len(password) < 20 {
		r.t.Errorf("the password %q is short", password)
	}
}

// want compares what was run, and forgets it.
func (r *recorder) want(name string, lines ...string) {
	r.t.Helper()
	if !slices.Equal(r.lines, lines) {
		r.t.Errorf("%s: ran\n  %s\nwant\n  %s", name, strings.Join(r.lines, "\n  "), strings.Join(lines, "\n  "))
	}
	r.lines = nil
}

// drop deletes a certificate by its SHA-1.
func (r *recorder) drop(id string) {
	r.certs = slices.DeleteFunc(r.certs, func(c *x509.Certificate) bool { return strings.EqualFold(identity(c), id) })
}

// mac is security(1) with a keychain.
func (r *recorder) mac(_ context.Context, c Command) (string, error) {
	if err := r.record(c); err != nil {
		return "", err
	}
	switch {
	case c.Name == "/bin/launchctl":
		return "", nil
	case c.Args[0] == "find-certificate":
		var b strings.Builder
		for _, cert := range r.certs {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
		}
		return b.String(), nil
	case c.Args[0] == "delete-identity":
		r.drop(c.Args[2])
		return "", nil
	case c.Args[0] == "-i":
		var path, keychain, password string
		if _, err := fmt.Sscanf(c.Stdin, "import %q -k %q -f pkcs12 -P %s -x -A\n", &path, &keychain, &password); err != nil || keychain != systemKeychain {
			r.t.Errorf("%q: %v", c.Stdin, err)
		}
		info, err := os.Stat(path)
		check(r.t, err)
		if info.Mode().Perm() != 0o600 {
			r.t.Errorf("%s has mode %v", path, info.Mode())
		}
		file, err := os.ReadFile(path)
		check(r.t, err)
		r.received(file, password, c)
		return "", nil
	}
	return "", fmt.Errorf("unexpected %q", c.Args)
}

// windows is PowerShell with a user's store.
func (r *recorder) windows(_ context.Context, c Command) (string, error) {
	script := c.Args[len(c.Args)-1]
	named := c
	named.Args = slices.Clone(c.Args)
	for name, text := range map[string]string{"IMPORT": importScript, "LIST": listScript, "DELETE ALL": fmt.Sprintf(deleteScript, "$true")} {
		if script == text {
			named.Args[len(c.Args)-1] = name
		}
	}
	before, after, _ := strings.Cut(deleteScript, "%s")
	kept, _ := strings.CutPrefix(script, before+"$_.Thumbprint -ne '")
	kept, isDelete := strings.CutSuffix(kept, "'"+after)
	if isDelete {
		named.Args[len(c.Args)-1] = "DELETE ALL BUT " + kept
	}
	if err := r.record(named); err != nil {
		return "", err
	}
	var out strings.Builder
	switch what := named.Args[len(c.Args)-1]; {
	case what == "IMPORT":
		password, text, _ := strings.Cut(c.Stdin, "\n")
		file, err := base64.StdEncoding.DecodeString(text)
		check(r.t, err)
		r.received(file, password, c)
	case what == "LIST":
		for _, cert := range r.certs {
			out.WriteString(base64.StdEncoding.EncodeToString(cert.Raw) + "\r\n")
		}
	case what == "DELETE ALL":
		r.certs = nil
	case isDelete:
		id, err := hex.DecodeString(kept)
		check(r.t, err)
		r.certs = slices.DeleteFunc(r.certs, func(c *x509.Certificate) bool { return !strings.EqualFold(identity(c), hex.EncodeToString(id)) })
	default:
		r.t.Errorf("unexpected script %q", script)
	}
	return out.String() + "done\r\n", nil
}

// hive is a Registry.
type hive map[string]string

func (h hive) Get(key, name string) (string, bool, error) {
	value, found := h[key+`\`+name]
	return value, found, nil
}

func (h hive) Set(key, name, value string) error {
	h[key+`\`+name] = value
	return nil
}

func (h hive) Delete(key, name string) error {
	delete(h, key+`\`+name)
	return nil
}
