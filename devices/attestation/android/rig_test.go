package android

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// noon is the time of all made chains.
var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

const nonce = "nonce"

// said is what made hardware says; the zero value of good is taken.
type said struct {
	attestationLevel, keyLevel int
	challenge                  string
	locked                     bool
	state                      int
	origin, purpose            int
	serial                     string
	software                   []byte // in place of an empty list
	more                       []byte // of the hardware's list
	after                      []byte // the description
	noRootOfTrust              bool
}

func good() said {
	return said{attestationLevel: levelTEE, keyLevel: levelTEE, challenge: nonce, locked: true, purpose: purposeSign, serial: "SER-0001"}
}

func der(t testing.TB, v any) []byte {
	t.Helper()
	out, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// explicit is a field of an AuthorizationList.
func explicit(t testing.TB, tag int, content []byte) []byte {
	return der(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: content})
}

func sequence(t testing.TB, content ...[]byte) asn1.RawValue {
	var all []byte
	for _, c := range content {
		all = append(all, c...)
	}
	raw := der(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: all})
	return asn1.RawValue{FullBytes: raw}
}

// description is the extension's value.
func (s said) description(t testing.TB) []byte {
	t.Helper()
	purpose := der(t, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: der(t, s.purpose)})
	fields := [][]byte{explicit(t, tagPurpose, purpose), explicit(t, tagOrigin, der(t, s.origin))}
	if !s.noRootOfTrust {
		fields = append(fields, explicit(t, tagRootOfTrust, der(t, rootOfTrust{
			VerifiedBootKey: make([]byte, 32), DeviceLocked: s.locked, VerifiedBootState: asn1.Enumerated(s.state), VerifiedBootHash: make([]byte, 32),
		})))
	}
	if s.serial != "" {
		fields = append(fields, explicit(t, tagSerial, der(t, []byte(s.serial))))
	}
	fields = append(fields, explicit(t, tagManufacturer, der(t, []byte("Maker"))), s.more)
	return append(der(t, keyDescription{
		AttestationVersion: 300, AttestationLevel: asn1.Enumerated(s.attestationLevel), KeyMintVersion: 300, KeyMintLevel: asn1.Enumerated(s.keyLevel),
		Challenge: []byte(s.challenge), UniqueID: []byte{}, Software: sequence(t, s.software), Hardware: sequence(t, fields...),
	}), s.after...)
}

// maker makes chains: a root, an authority below it, the device's own, and leaves.
type maker struct {
	chain []*x509.Certificate // the device's authority first
	keys  []*ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certificate makes one by the parent; nil: by itself.
func certificate(t testing.TB, template, parent *x509.Certificate, pub crypto.PublicKey, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = template
	}
	made, err := x509.CreateCertificate(rand.Reader, template, parent, pub, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(made)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name)) << 20), Subject: pkix.Name{CommonName: name}, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

// newMaker makes the authorities; change may alter the template of that in the
// place (0: the device's own, 1: above it, 2: the root).
func newMaker(t testing.TB, change func(place int, c *x509.Certificate)) *maker {
	t.Helper()
	m := &maker{}
	var parent *x509.Certificate
	var by *ecdsa.PrivateKey
	for place := 2; place >= 0; place-- {
		template := authority([]string{"device", "authority", "the root"}[place])
		if change != nil {
			change(place, template)
		}
		key := newKey(t)
		if by == nil {
			by = key
		}
		c := certificate(t, template, parent, key.Public(), by)
		m.chain, m.keys = append([]*x509.Certificate{c}, m.chain...), append([]*ecdsa.PrivateKey{key}, m.keys...)
		parent, by = c, key
	}
	return m
}

func (m *maker) verifier() *Verifier { return &Verifier{Roots: m.chain[2:]} }

// leaf makes a chain whose leaf says that of pub.
func (m *maker) leaf(t testing.TB, pub crypto.PublicKey, s said) []*x509.Certificate {
	t.Helper()
	return m.changed(t, pub, s, func(*x509.Certificate) {})
}

// changed is leaf with another template.
func (m *maker) changed(t testing.TB, pub crypto.PublicKey, s said, change func(c *x509.Certificate)) []*x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Android Keystore Key"}, NotBefore: noon.Add(-time.Minute), NotAfter: noon.Add(time.Minute),
		ExtraExtensions: []pkix.Extension{{Id: oidDescription, Value: s.description(t)}},
	}
	change(template)
	return append([]*x509.Certificate{certificate(t, template, m.chain[0], pub, m.keys[0])}, m.chain...)
}

// statement is the CBOR of a chain.
func statement(t testing.TB, chain []*x509.Certificate) []byte {
	t.Helper()
	var raw [][]byte
	for _, c := range chain {
		raw = append(raw, c.Raw)
	}
	out, err := cbor.Marshal(map[string]any{"x5c": raw})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
