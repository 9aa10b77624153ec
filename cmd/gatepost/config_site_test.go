package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.dev/certs"
)

var checkedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const checkedConfig = `issuer: https://posture.example.com
device_url: https://device.posture.example.com
tls:
  - { cert: tls.crt, key: tls.key }
  - { cert: device-tls.crt, key: device-tls.key }
storage: bolt:gatepost.db
devices:
  authorities:
    - { certificate: mdm-ca.crt, id_from: cn }
relying_parties:
  - name: acme
    saml: { metadata: acme-sp.xml }
    encrypt: true
  - name: other
    saml: { metadata: other-sp.xml }
`

// site is a folder with a configuration and everything it names.
type site struct {
	t   *testing.T
	dir string
}

// signingKey is one folder of signing keys, made once: RSA keys take long.
var signingKey = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "gatepost-keys-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	keys := filepath.Join(dir, "keys")
	if _, err := certs.CreateKeyring(keys, "posture.example.com", certs.Kind{Algorithm: certs.RS256, Bits: 2048}, checkedAt); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	return files, fs.WalkDir(os.DirFS(keys), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[name], err = os.ReadFile(filepath.Join(keys, name))
		}
		return err
	})
})

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	s.write("gatepost.yaml", checkedConfig)
	s.pair("tls", "posture.example.com")
	s.pair("device-tls", "device.posture.example.com")
	s.write("gatepost.db", "an inventory")
	for _, name := range []string{"device-ca", "mdm-ca"} {
		if _, err := certs.CreateAuthority(s.path(name+".crt"), s.path(name+".key"), name, checkedAt); err != nil {
			t.Fatal(err)
		}
	}
	files, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	s.try(os.Mkdir(s.path("keys"), 0o700))
	for name, data := range files {
		s.write(filepath.Join("keys", name), string(data))
	}
	s.write("acme-sp.xml", "https://sp.example.com/acme with a key")
	s.write("other-sp.xml", "https://sp.example.com/other")
	return s
}

// es256 configures a folder of P-256 keys, on line 7.
func (s *site) es256(dir string) {
	s.t.Helper()
	s.replace("storage: bolt:gatepost.db\n", "storage: bolt:gatepost.db\nsigning: { es256_keys: "+dir+" }\n")
}

func (s *site) makeES256(dir string) {
	s.t.Helper()
	_, err := certs.CreateKeyring(s.path(dir), "posture.example.com", certs.Kind{Algorithm: certs.ES256}, checkedAt)
	s.try(err)
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) try(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) write(name, text string) { s.t.Helper(); write(s.t, s.path(name), text) }

func (s *site) remove(name string) { s.t.Helper(); s.try(os.RemoveAll(s.path(name))) }

func (s *site) copy(from, to string) {
	s.t.Helper()
	data, err := os.ReadFile(s.path(from))
	s.try(err)
	s.write(to, string(data))
}

func (s *site) replace(old, new string) {
	s.t.Helper()
	if !strings.Contains(checkedConfig, old) {
		s.t.Fatalf("%q is not in the configuration", old)
	}
	s.write("gatepost.yaml", strings.Replace(checkedConfig, old, new, 1))
}

// pair writes NAME.crt and NAME.key, good for 90 days from checkedAt.
func (s *site) pair(name string, hosts ...string) {
	s.t.Helper()
	_, cert, key, err := certs.NewServerCertificate(hosts, checkedAt, 90*24*time.Hour)
	s.try(err)
	s.write(name+".crt", string(cert))
	s.write(name+".key", string(key))
}

// self writes a self-signed pair of a template.
func (s *site) self(name string, template *x509.Certificate) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.try(err)
	template.SerialNumber = big.NewInt(1)
	template.Subject = pkix.Name{CommonName: name}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = checkedAt.Add(-time.Hour), checkedAt.Add(90*24*time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	s.try(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	s.try(err)
	s.write(name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	s.write(name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

// testParsers are the real ones but for metadata, which are an entity ID, and
// "with a key" behind it where there is one.
func testParsers() Parsers {
	return Parsers{
		Metadata: func(data []byte, _ time.Time) (MetadataFacts, error) {
			entityID, rest, _ := strings.Cut(string(data), " ")
			if !strings.HasPrefix(entityID, "https://") {
				return MetadataFacts{}, errors.New("not metadata")
			}
			facts := MetadataFacts{EntityID: entityID, Encryptable: rest == "with a key"}
			if rest == "of old" {
				facts.Expired = errors.New("metadata were valid until 2020")
			}
			return facts, nil
		},
		Keyring: func(dir, algorithm string) error { _, err := certs.OpenKeyring(dir, algorithm); return err },
		Authority: func(certificate, key string) error {
			_, err := certs.LoadAuthority(certificate, key)
			return err
		},
	}
}

// tree is every file with its size, mode and time of change.
func (s *site) tree() string {
	s.t.Helper()
	var b strings.Builder
	s.try(filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				b.WriteString(path + " " + info.Mode().String() + " " + info.ModTime().String() + "\n")
			}
		}
		return err
	}))
	return b.String()
}
