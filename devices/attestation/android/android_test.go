package android

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"gatepost.dev/devices/attestation"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	m, key := newMaker(t, nil), newKey(t)
	got, err := m.verifier().Verify(statement(t, m.leaf(t, key.Public(), good())), []byte(nonce), noon)
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(got.Key) || !slices.Equal(got.Identifiers, []string{"SER-0001"}) {
		t.Errorf("got key %v, identifiers %q", got.Key, got.Identifiers)
	}
	if a := got.Attested; a.Serial != "SER-0001" || a.HardwareID != "SER-0001" || a.Vendor != "Maker" || !a.At.Equal(noon) || a.Format != Format {
		t.Errorf("got %+v", a)
	}
}

// TestRefusesWhatIsSaid has a line for each check of the description.
func TestRefusesWhatIsSaid(t *testing.T) {
	t.Parallel()
	m, key := newMaker(t, nil), newKey(t)
	for name, c := range map[string]struct {
		change func(s *said)
		why    string
	}{
		"another nonce":            {func(s *said) { s.challenge = "another" }, "another nonce"},
		"software attests":         {func(s *said) { s.attestationLevel = 0 }, "attestation is of security level 0"},
		"unknown level attests":    {func(s *said) { s.attestationLevel = 3 }, "attestation is of security level 3"},
		"key in software":          {func(s *said) { s.keyLevel = 0 }, "key is of security level 0"},
		"key of unknown level":     {func(s *said) { s.keyLevel = 3 }, "key is of security level 3"},
		"unlocked":                 {func(s *said) { s.locked = false }, unlocked},
		"self-signed boot":         {func(s *said) { s.state = 1 }, "verified boot is in state 1"},
		"unverified boot":          {func(s *said) { s.state = 2 }, "verified boot is in state 2"},
		"no root of trust":         {func(s *said) { s.noRootOfTrust = true }, "does not say how the device started"},
		"imported":                 {func(s *said) { s.origin = 2 }, "of origin 2"},
		"not for signing":          {func(s *said) { s.purpose = 0 }, "not for signing"},
		"no serial number":         {func(s *said) { s.serial = "" }, "names no device"},
		"serial number not text":   {func(s *said) { s.serial = "SER\x00" }, "not printable"},
		"serial number too long":   {func(s *said) { s.serial = strings.Repeat("S", 65) }, "serial number of 65 bytes"},
		"a field twice":            {func(s *said) { s.more = explicit(t, tagOrigin, der(t, 0)) }, "tag 702 twice"},
		"a field of another class": {func(s *said) { s.more = der(t, 1) }, "class 0"},
		"something follows":        {func(s *said) { s.after = []byte{5, 0} }, "follow"},
		"root of trust by software alone": {func(s *said) {
			s.noRootOfTrust = true
			s.software = explicit(t, tagRootOfTrust, der(t, rootOfTrust{VerifiedBootKey: []byte{1}, DeviceLocked: true}))
		}, "does not say how the device started"},
		"serial number by software alone": {func(s *said) {
			s.serial, s.software = "", explicit(t, tagSerial, der(t, []byte("SER-0001")))
		}, "names no device"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := good()
			c.change(&s)
			_, err := m.verifier().Verify(statement(t, m.leaf(t, key.Public(), s)), []byte(nonce), noon)
			refused(t, err, c.why)
		})
	}
}

// TestRefusesExtendedChain is the known forgery: an app has its own key attested,
// and signs with it what says of a key in software whatever it likes.
func TestRefusesExtendedChain(t *testing.T) {
	t.Parallel()
	m, apps, forged := newMaker(t, nil), newKey(t), newKey(t)
	whole := m.leaf(t, apps.Public(), good())
	forger := &maker{chain: whole}
	forger.keys = append(forger.keys, apps)
	chain := forger.leaf(t, forged.Public(), good())
	_, err := m.verifier().Verify(statement(t, chain), []byte(nonce), noon)
	refused(t, err, "certificate 1, which is not the leaf, has an attestation")
	// Nor does the genuine attestation speak for a key below it.
	bare := authority("bare")
	bare.IsCA = false
	chain[0] = certificate(t, bare, whole[0], forged.Public(), apps)
	_, err = m.verifier().Verify(statement(t, chain), []byte(nonce), noon)
	refused(t, err, "certificate 1, which is not the leaf, has an attestation")
}

func TestRefusesChains(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for name, c := range map[string]struct {
		change func(place int, c *x509.Certificate)
		at     time.Time
		why    string
	}{
		"no authority":          {func(p int, c *x509.Certificate) { c.IsCA = p != 1 }, noon, "certificate 2 is not an authority's"},
		"may not sign":          {func(p int, c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }, noon, "certificate 2 may not sign others"},
		"path too long":         {func(p int, c *x509.Certificate) { c.MaxPathLenZero = p == 1 }, noon, "certificate 2 may not have 1 below it"},
		"device's own is early": {func(p int, c *x509.Certificate) { c.NotBefore = noon.Add(time.Second * time.Duration(1-p)) }, noon, "certificate 1 is not valid"},
		"authority ended":       {func(p int, c *x509.Certificate) { c.NotAfter = noon.Add(time.Second * time.Duration(1-2*p)) }, noon, "certificate 2 is not valid"},
		"leaf ended":            {func(int, *x509.Certificate) {}, noon.Add(2 * time.Minute), "certificate 0 is not valid"},
		"root ended":            {func(int, *x509.Certificate) {}, noon.Add(2 * time.Hour), "no root that is trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMaker(t, func(place int, template *x509.Certificate) {
				if place < 2 {
					c.change(place, template)
				}
			})
			_, err := m.verifier().VerifyChain(m.leaf(t, key.Public(), good()), []byte(nonce), c.at)
			refused(t, err, c.why)
		})
	}
}

func TestRefusesSignatureOfAnother(t *testing.T) {
	t.Parallel()
	m, other, key := newMaker(t, nil), newMaker(t, nil), newKey(t)
	chain := append(other.leaf(t, key.Public(), good())[:1:1], m.chain...) // the names are the same
	_, err := m.verifier().VerifyChain(chain, []byte(nonce), noon)
	refused(t, err, "signature of certificate 0")
	_, err = m.verifier().VerifyChain(other.leaf(t, key.Public(), good()), []byte(nonce), noon)
	refused(t, err, "no root that is trusted")
}

func TestRefusesKeys(t *testing.T) {
	t.Parallel()
	m := newMaker(t, nil)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	modulus := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.SetBit(n, 0, 1)
	}
	for why, pub := range map[string]crypto.PublicKey{
		"other than P-256 and P-384": p521.Public(),
		"an RSA key of 1024 bits":    &rsa.PublicKey{N: modulus(1024), E: 65537},
		"an RSA key of 4104 bits":    &rsa.PublicKey{N: modulus(4104), E: 65537},
		"the exponent 3":             &rsa.PublicKey{N: modulus(2048), E: 3},
		"ed25519.PublicKey":          edwards,
	} {
		_, err := m.verifier().VerifyChain(m.leaf(t, pub, good()), []byte(nonce), noon)
		refused(t, err, why)
	}
}

func TestRefusesLeaves(t *testing.T) {
	t.Parallel()
	m, key := newMaker(t, nil), newKey(t)
	for why, change := range map[string]func(c *x509.Certificate){
		"the leaf is an authority's":              func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true },
		"certificate 0 has an unknown critical":   func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = true },
		"the leaf has no attestation":             func(c *x509.Certificate) { c.ExtraExtensions = nil },
		"read attestation: asn1: structure error": func(c *x509.Certificate) { c.ExtraExtensions[0].Value = []byte{5, 0} },
	} {
		_, err := m.verifier().VerifyChain(m.changed(t, key.Public(), good(), change), []byte(nonce), noon)
		refused(t, err, why)
	}
}

func TestRefusesLengths(t *testing.T) {
	t.Parallel()
	m, key := newMaker(t, nil), newKey(t)
	chain := m.leaf(t, key.Public(), good())
	for _, n := range []int{0, 1, 9} {
		long := slices.Repeat(chain[3:], n) // the root alone, or again and again, verifies itself
		_, err := m.verifier().VerifyChain(long, []byte(nonce), noon)
		refused(t, err, fmt.Sprintf("%d certificates, not 2 to 8", n))
	}
}

func TestRefusesStatements(t *testing.T) {
	t.Parallel()
	m, key := newMaker(t, nil), newKey(t)
	whole := statement(t, m.leaf(t, key.Public(), good()))
	leaf := m.leaf(t, key.Public(), good())[0].Raw
	encode := func(v any) []byte {
		out, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, raw := range map[string][]byte{
		"empty":            {},
		"no map":           encode("x5c"),
		"no chain":         encode(map[string]any{}),
		"empty chain":      encode(map[string]any{"x5c": [][]byte{}}),
		"long chain":       encode(map[string]any{"x5c": slices.Repeat([][]byte{leaf}, 9)}),
		"no certificate":   encode(map[string]any{"x5c": [][]byte{{1, 2, 3}}}),
		"another case":     encode(map[string]any{"X5C": [][]byte{leaf}}),
		"a key twice":      append([]byte{0xa2}, slices.Concat(whole[1:], whole[1:])...),
		"cut":              whole[:len(whole)-1],
		"something behind": append(slices.Clone(whole), 0),
		"text for bytes":   encode(map[string]any{"x5c": []string{string(leaf)}}),
	} {
		if _, err := m.verifier().Verify(raw, []byte(nonce), noon); !errors.Is(err, attestation.ErrEvidence) {
			t.Errorf("%s: got error %v, want ErrEvidence", name, err)
		}
	}
}

func TestParseStatus(t *testing.T) {
	t.Parallel()
	got, err := ParseStatus([]byte(`{"entries":{"0A1b":{"status":"REVOKED","reason":"KEY_COMPROMISE"},"ff":{"status":"SUSPENDED","expires":"2030-01-01"}}}`))
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, serial := range []string{"a1b", "ff"} {
		if _, ok := got[serial]; !ok {
			t.Errorf("%q is not revoked", serial)
		}
	}
	for _, bad := range []string{``, `{}`, `[]`, `{"entries":{"xyz":{"status":"REVOKED"}}}`, `{"entries":{"a":{"status":"REVOKED"},"a":{"status":"REVOKED"}}}`, `{"entries":null}`} {
		if got, err := ParseStatus([]byte(bad)); err == nil {
			t.Errorf("%s: took it as %v", bad, got)
		}
	}
}

// FuzzStatement wants that no bytes are taken but those of the seeds, and that
// nothing panics.
func FuzzStatement(f *testing.F) {
	m, key := newMaker(f, nil), newKey(f)
	taken := statement(f, m.leaf(f, key.Public(), good()))
	f.Add(taken)
	for _, c := range genuine[:3] {
		f.Add(statement(f, readChain(f, c.name)))
	}
	v := m.verifier()
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := v.Verify(raw, []byte(nonce), noon)
		switch {
		case err != nil && !errors.Is(err, attestation.ErrEvidence):
			t.Errorf("error %v is not ErrEvidence", err)
		case err == nil && !bytes.Equal(raw, taken) && !key.PublicKey.Equal(got.Key):
			t.Errorf("took %x", raw)
		}
	})
}

// FuzzDescription is what a chain's signatures keep the other from reaching.
func FuzzDescription(f *testing.F) {
	f.Add(good().description(f))
	for _, c := range genuine {
		for _, e := range readChain(f, c.name)[0].Extensions {
			if e.Id.Equal(oidDescription) {
				f.Add(e.Value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		d, err := parseDescription(der)
		if err == nil {
			err = d.check([]byte(nonce))
			_ = d.version()
		}
		if err != nil && !errors.Is(err, attestation.ErrEvidence) {
			t.Errorf("error %v is not ErrEvidence", err)
		}
	})
}
