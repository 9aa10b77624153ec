package apple_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"gatepost.dev/devices/attestation"
	"gatepost.dev/devices/attestation/apple"
)

var (
	now   = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	nonce = sha256sum("token")
)

func sha256sum(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// ca plays Apple: there is no chain of a real device that may be published.
type ca struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCA(t testing.TB, name string, above *ca) *ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &ca{key: key}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if above == nil {
		above = &ca{template, key}
	}
	c.cert = above.sign(t, template, key.Public().(*ecdsa.PublicKey))
	return c
}

func (c *ca) sign(t testing.TB, template *x509.Certificate, key *ecdsa.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, key, c.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (c *ca) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c.cert)
	return p
}

// leaf has the extensions 1.2.840.113635.100.8.<arc> with the values.
func (c *ca) leaf(t testing.TB, extensions map[[2]int]string, change func(*x509.Certificate)) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "device"}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	for arc, value := range extensions {
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{
			Id: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, arc[0], arc[1]}, Value: []byte(value),
		})
	}
	if change != nil {
		change(template)
	}
	return key, c.sign(t, template, &key.PublicKey)
}

func statement(t testing.TB, chain ...*x509.Certificate) []byte {
	t.Helper()
	x5c := [][]byte{}
	for _, c := range chain {
		x5c = append(x5c, c.Raw)
	}
	b, err := cbor.Marshal(map[string]any{"x5c": x5c})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func device() map[[2]int]string {
	return map[[2]int]string{{9, 1}: "C02ABCDEFGHI", {9, 2}: "00008103-001A2B3C4D5E6F70", {10, 2}: "20.1", {11, 1}: string(nonce)}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	root := newCA(t, "root", nil)
	sub := newCA(t, "sub", root)
	key, leaf := sub.leaf(t, device(), nil)
	v := &apple.Verifier{Roots: root.pool()}
	r, err := v.Verify(statement(t, leaf, sub.cert), nonce, now)
	if err != nil {
		t.Fatal(err)
	}
	spki := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	a := r.Attested
	if !key.PublicKey.Equal(r.Key) || a.Format != "apple" || a.KeyHash != hex.EncodeToString(spki[:]) || a.Serial != "C02ABCDEFGHI" ||
		a.HardwareID != "00008103-001A2B3C4D5E6F70" || a.Version != "20.1" || !a.At.Equal(now) {
		t.Errorf("result %+v", r)
	}
	if !slices.Equal(r.Identifiers, []string{"C02ABCDEFGHI", "00008103-001A2B3C4D5E6F70"}) {
		t.Errorf("identifiers %q", r.Identifiers)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	root := newCA(t, "root", nil)
	sub := newCA(t, "sub", root)
	without := func(arcs ...[2]int) map[[2]int]string {
		d := device()
		for _, arc := range arcs {
			delete(d, arc)
		}
		return d
	}
	stale := device()
	stale[[2]int{11, 1}] = string(sha256sum("another token"))
	odd := device()
	odd[[2]int{9, 1}] = "C02\x00"
	type vector struct {
		statement []byte
		roots     *x509.CertPool
		nonce     []byte
		at        time.Time
	}
	good := func(extensions map[[2]int]string, change func(*x509.Certificate)) vector {
		_, leaf := sub.leaf(t, extensions, change)
		return vector{statement(t, leaf, sub.cert), root.pool(), nonce, now}
	}
	vectors := map[string]vector{
		"another nonce":         good(stale, nil),
		"no freshness":          good(without([2]int{11, 1}), nil),
		"no identifier":         good(without([2]int{9, 1}, [2]int{9, 2}), nil),
		"serial not printable":  good(odd, nil),
		"leaf is an authority":  good(device(), func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }),
		"critical and unknown":  good(device(), func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = true }),
		"not CBOR":              {[]byte("x5c"), root.pool(), nonce, now},
		"empty chain":           {statement(t), root.pool(), nonce, now},
		"not even a certifcate": {[]byte("\xa1\x63x5c\x81\x41\x00"), root.pool(), nonce, now},
	}
	v := good(device(), nil)
	v.roots = newCA(t, "root", nil).pool()
	vectors["unknown root"] = v
	v = good(device(), nil)
	v.roots = nil
	vectors["no roots"] = v
	v = good(device(), nil)
	v.at = now.Add(2 * time.Minute)
	vectors["expired"] = v
	v = good(without([2]int{11, 1}), nil)
	v.nonce = nil
	vectors["no nonce at all"] = v
	_, leaf := sub.leaf(t, device(), nil)
	vectors["no intermediate"] = vector{statement(t, leaf), root.pool(), nonce, now}
	vectors["something behind it"] = vector{append(statement(t, leaf, sub.cert), 0), root.pool(), nonce, now}

	for name, v := range vectors {
		r, err := (&apple.Verifier{Roots: v.roots}).Verify(v.statement, v.nonce, v.at)
		if r != nil || !errors.Is(err, attestation.ErrEvidence) {
			t.Errorf("%s: %+v, %v", name, r, err)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

// TestRoot holds the file to the fingerprint under which the root is known.
func TestRoot(t *testing.T) {
	t.Parallel()
	if _, err := apple.Root(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("root.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(data)
	sum := sha256.Sum256(block.Bytes)
	const want = "ccf59ef8fcb3017d97f8b5fa6fa90e7a3f9283f76b55ac6cf6eda8b8b949f05b"
	if got := hex.EncodeToString(sum[:]); got != want || len(rest) > 0 {
		t.Errorf("root %s, want %s", got, want)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil || c.CheckSignatureFrom(c) != nil || c.Subject.CommonName != "Apple Enterprise Attestation Root CA" {
		t.Errorf("root %v: %v", c.Subject, err)
	}
}

func FuzzApple(f *testing.F) {
	root := newCA(f, "root", nil)
	sub := newCA(f, "sub", root)
	_, leaf := sub.leaf(f, device(), nil)
	f.Add(statement(f, leaf, sub.cert), nonce)
	f.Add(statement(f), []byte{})
	f.Add([]byte("\xbf\xff"), nonce)
	f.Fuzz(func(t *testing.T, statement, n []byte) {
		r, err := (&apple.Verifier{Roots: root.pool()}).Verify(statement, n, now)
		if (err == nil) != (r != nil) || err != nil && !errors.Is(err, attestation.ErrEvidence) {
			t.Errorf("%+v, %v", r, err)
		}
		if err == nil && !slices.Equal(n, nonce) {
			t.Error("taken with another nonce")
		}
	})
}
