package tpm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"gatepost.dev/agent/tpmkey"
	"gatepost.dev/agent/tpmkey/swtpmtest"
	"gatepost.dev/devices/attestation"
	"gatepost.dev/devices/attestation/tpm"
)

// evidence is what one TPM says; it is made once, by swtpm, for all tests.
type evidence struct {
	device          *tpmkey.Device
	ek              *tpmkey.Endorsement
	ak, key         *tpmkey.Object
	akKey           crypto.PublicKey
	nonce           []byte
	info, signature []byte
	roots           []byte // PEM
}

var made struct {
	sync.Once
	*evidence
	err  error
	stop func() error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if made.stop != nil {
		if err := made.stop(); err != nil {
			code = 1
		}
	}
	os.Exit(code)
}

// evidenceOf gives evidence that holds.
func evidenceOf(t testing.TB) *evidence {
	t.Helper()
	made.Do(func() { made.evidence, made.stop, made.err = makeEvidence() })
	if made.err != nil {
		t.Fatal(made.err)
	}
	return made.evidence
}

func makeEvidence() (*evidence, func() error, error) {
	dir, err := os.MkdirTemp("", "evidence")
	if err != nil {
		return nil, nil, err
	}
	ca := filepath.Join(dir, "ca")
	running, err := swtpmtest.Start(filepath.Join(dir, "state"), ca)
	if err != nil {
		return nil, func() error { return os.RemoveAll(dir) }, err
	}
	stop := func() error { return errors.Join(running.Stop(), os.RemoveAll(dir)) }
	e := &evidence{device: &tpmkey.Device{Path: running.Path}, nonce: []byte("a nonce of the server's, 32 bytes")[:32]}
	for _, step := range []func() error{
		func() (err error) { e.ek, err = e.device.Endorsement(); return },
		func() (err error) { e.ak, err = e.device.CreateAttestationKey(); return },
		func() (err error) { e.akKey, err = e.ak.Key(); return },
		func() (err error) { e.key, err = e.device.CreateKey(); return },
		func() (err error) { e.info, e.signature, err = e.device.Certify(e.ak, e.key, e.nonce); return },
		func() error {
			root, err := os.ReadFile(swtpmtest.RootFile(ca))
			issuer, err2 := os.ReadFile(swtpmtest.IssuerFile(ca))
			e.roots = append(root, issuer...)
			return errors.Join(err, err2)
		},
	} {
		if err := step(); err != nil {
			return nil, stop, err
		}
	}
	return e, stop, nil
}

// pool makes a pool of what is in PEM.
func pool(t testing.TB, text []byte) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return p
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		p.AddCert(cert)
	}
}

// attestationCA certifies attestation keys.
type attestationCA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newCA(t testing.TB, now time.Time) *attestationCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "attestation CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}, nil, &key.PublicKey, key)
	return &attestationCA{cert: cert, key: key}
}

func sign(t testing.TB, template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (ca *attestationCA) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	return p
}

var (
	oidSAN       = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidPermanent = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 3}
	oidAK        = asn1.ObjectIdentifier{2, 23, 133, 8, 3}
)

// akTemplate is of a certificate of an attestation key, with the names.
func akTemplate(now time.Time, names ...[]byte) *x509.Certificate {
	var san []byte
	for _, n := range names {
		san = append(san, n...)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Minute),
		BasicConstraintsValid: true, UnknownExtKeyUsage: []asn1.ObjectIdentifier{oidAK},
	}
	if len(names) > 0 {
		c.ExtraExtensions = []pkix.Extension{{Id: oidSAN, Critical: true, Value: must(asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: san}))}}
	}
	return c
}

// permanent is an otherName with a permanent identifier (RFC 4043).
func permanent(value string) []byte {
	inner := must(asn1.Marshal(struct {
		Value string `asn1:"utf8"`
	}{value}))
	return must(asn1.MarshalWithParams(struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}{oidPermanent, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner}}, "tag:0"))
}

// uri is a uniformResourceIdentifier.
func uri(value string) []byte {
	return must(asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(value)}))
}

// ekURI names the TPM with the hash, which is hexadecimal.
func ekURI(hash string) string {
	return "urn:ek:sha256:" + base64.StdEncoding.EncodeToString(must(hex.DecodeString(hash)))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// statement is what the evidence is as a statement.
func (e *evidence) statement(akCert []byte) map[string]any {
	return map[string]any{
		"ver": "2.0", "alg": -7, "x5c": [][]byte{akCert}, "sig": e.signature, "certInfo": e.info, "pubArea": e.key.Public,
	}
}

func encode(v any) []byte { return must(cbor.Marshal(v)) }

func refused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, attestation.ErrEvidence) {
		t.Errorf("not refused as evidence that does not hold: %v", err)
	}
}

func (e *evidence) ekHash(t testing.TB) string {
	t.Helper()
	ek, err := tpm.ParseEK(e.ek.Public)
	if err != nil {
		t.Fatal(err)
	}
	return ek.Hash
}
