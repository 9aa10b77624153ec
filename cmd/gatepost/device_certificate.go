package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/certs"
)

type deviceCertificate struct {
	ID       string        `arg:"" help:"The device's ID."`
	Out      string        `required:"" type:"path" placeholder:"FILE" help:"File to write: .p12 (key, certificate and authority, for browsers) or .pem (key and certificates)."`
	Lifetime time.Duration `placeholder:"DURATION" help:"Such as 720h. Default: certificate_lifetime of the configuration."`
	Password string        `env:"GATEPOST_P12_PASSWORD" placeholder:"TEXT" help:"Password of the .p12 file. Default: a random one, printed."`
}

// Run makes a key here, has a certificate issued for it, and writes both.
func (c *deviceCertificate) Run(e *env) error {
	ext := strings.ToLower(filepath.Ext(c.Out))
	if !slices.Contains([]string{".p12", ".pfx", ".pem"}, ext) {
		return fmt.Errorf("--out %q must end in .p12 or .pem", c.Out)
	}
	// The file is made first: an issued certificate that cannot be written
	// would be lost.
	file, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already, and may hold a key; name another file", c.Out)
	}
	if err != nil {
		return err
	}
	err = withServer(e, func(client *admin.Client) error {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		issued, err := requestCertificate(e, client, c.ID, key, c.Lifetime)
		if err != nil {
			return fmt.Errorf("issue certificate for device %q: %w", c.ID, err)
		}
		if ext == ".pem" {
			return c.writePEM(e, file, key, issued)
		}
		return c.writePKCS12(e, file, key, issued)
	})
	if err = errors.Join(err, file.Close()); err != nil {
		os.Remove(c.Out)
	}
	return err
}

// requestCertificate has a certificate issued for the key, which stays here.
func requestCertificate(e *env, client *admin.Client, id string, key *ecdsa.PrivateKey, lifetime time.Duration) (admin.IssuedCertificate, error) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return admin.IssuedCertificate{}, err
	}
	return client.IssueCertificate(e.ctx, id, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}), lifetime)
}

func (c *deviceCertificate) writePEM(e *env, w io.Writer, key *ecdsa.PrivateKey, issued admin.IssuedCertificate) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(w, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), issued.Certificate, issued.Authority); err != nil {
		return err
	}
	return c.done(e, issued, "")
}

func (c *deviceCertificate) writePKCS12(e *env, w io.Writer, key *ecdsa.PrivateKey, issued admin.IssuedCertificate) error {
	certificate, err1 := parseCertificatePEM(issued.Certificate)
	authority, err2 := parseCertificatePEM(issued.Authority)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	password, said := c.Password, ""
	if password == "" {
		password = rand.Text()
		said = password
	}
	p12, err := certs.EncodePKCS12(key, certificate, authority, password)
	if err != nil {
		return err
	}
	if _, err := w.Write(p12); err != nil {
		return err
	}
	return c.done(e, issued, said)
}

func (c *deviceCertificate) done(e *env, issued admin.IssuedCertificate, password string) error {
	if e.json {
		return printJSON(e.stdout, map[string]any{
			"file": c.Out, "password": password, "serial": issued.Serial, "not_after": issued.NotAfter,
		})
	}
	fmt.Fprintf(e.stdout, "%s holds a key and a certificate for %s, valid until %s\n", c.Out, c.ID, day(issued.NotAfter))
	if password != "" {
		fmt.Fprintf(e.stdout, "its password, shown only now: %s\n", password)
	}
	return nil
}

func parseCertificatePEM(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no certificate in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
