package tpm_test

import (
	"crypto/x509"
	"encoding/asn1"
	"maps"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"gatepost.dev/devices/attestation/tpm"
)

func TestStatement(t *testing.T) {
	t.Parallel()
	e, now := evidenceOf(t), time.Now()
	ca := newCA(t, now)
	hash := e.ekHash(t)
	cert := func(template *x509.Certificate) []byte { return sign(t, template, ca.cert, e.akKey, ca.key).Raw }
	both := cert(akTemplate(now, permanent("dev-0001"), uri(ekURI(hash))))
	v := tpm.Verifier{Roots: ca.pool()}

	r, err := v.Verify(encode(e.statement(both)), e.nonce, now)
	if err != nil {
		t.Fatal(err)
	}
	want, err := e.key.Key()
	if err != nil {
		t.Fatal(err)
	}
	a := r.Attested
	if a.Format != "tpm" || a.KeyHash != tpm.KeyHash(want) || tpm.KeyHash(r.Key) != a.KeyHash || !a.At.Equal(now) || a.HardwareID != hash {
		t.Errorf("attested: %+v", a)
	}
	if !slices.Equal(r.Identifiers, []string{"dev-0001", ekURI(hash)}) {
		t.Errorf("identifiers: %q", r.Identifiers)
	}

	intermediate := ca.intermediate(t, now)
	under := e.statement(both)
	under["x5c"] = [][]byte{sign(t, akTemplate(now, permanent("dev-0001")), intermediate.cert, e.akKey, intermediate.key).Raw, intermediate.cert.Raw}
	if _, err := v.Verify(encode(under), e.nonce, now); err != nil {
		t.Errorf("under an intermediate: %v", err)
	}

	with := func(key string, value any) []byte {
		s := maps.Clone(e.statement(both))
		if s[key] = value; value == nil {
			delete(s, key)
		}
		return encode(s)
	}
	akOf := func(change func(c *x509.Certificate)) []byte {
		c := akTemplate(now, permanent("dev-0001"))
		change(c)
		return with("x5c", [][]byte{cert(c)})
	}
	stranger := newCA(t, now)
	for name, raw := range map[string][]byte{
		"empty":                          nil,
		"no map":                         encode("tpm"),
		"trailing":                       append(encode(e.statement(both)), 0),
		"long":                           make([]byte, 1<<20),
		"version":                        with("ver", "1.2"),
		"no version":                     with("ver", nil),
		"alg":                            with("alg", -35),
		"an unknown name":                with("aikCert", []byte{1}),
		"a name in another case":         encode(renamed(e.statement(both), "sig", "SIG")),
		"no alg":                         with("alg", nil),
		"no sig":                         with("sig", nil),
		"sig":                            with("sig", flip(e.signature, len(e.signature)-1)),
		"sig of another type":            with("sig", "text"),
		"no certInfo":                    with("certInfo", nil),
		"certInfo":                       with("certInfo", flip(e.info, 40)),
		"no pubArea":                     with("pubArea", nil),
		"pubArea":                        with("pubArea", e.ak.Public),
		"no x5c":                         with("x5c", nil),
		"empty x5c":                      with("x5c", [][]byte{}),
		"x5c of no certificate":          with("x5c", [][]byte{{1, 2, 3}}),
		"x5c with no certificate second": with("x5c", [][]byte{both, {1, 2, 3}}),
		"long x5c":                       with("x5c", [][]byte{both, both, both, both, both, both, both, both, both}),
		"unknown root":                   with("x5c", [][]byte{sign(t, akTemplate(now, permanent("dev-0001")), stranger.cert, e.akKey, stranger.key).Raw}),
		"certificate of another key":     with("x5c", [][]byte{sign(t, akTemplate(now, permanent("dev-0001")), ca.cert, ca.cert.PublicKey, ca.key).Raw}),
		"expired":                        akOf(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(-time.Minute) }),
		"not yet valid":                  akOf(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(time.Minute), now.Add(time.Hour) }),
		"an authority":                   akOf(func(c *x509.Certificate) { c.IsCA = true }),
		"no usage":                       akOf(func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }),
		"another usage":                  akOf(func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}} }),
		"any usage": akOf(func(c *x509.Certificate) {
			c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
		}),
		"no names":               akOf(func(c *x509.Certificate) { c.ExtraExtensions = nil }),
		"an empty identifier":    with("x5c", [][]byte{cert(akTemplate(now, permanent("")))}),
		"a control character":    with("x5c", [][]byte{cert(akTemplate(now, permanent("dev\n0001")))}),
		"a URI of no key":        with("x5c", [][]byte{cert(akTemplate(now, uri("urn:ek:sha256:AAAA")))}),
		"a URI of another kind":  with("x5c", [][]byte{cert(akTemplate(now, uri("urn:uuid:1")))}),
		"URIs of two keys":       with("x5c", [][]byte{cert(akTemplate(now, uri(ekURI(hash)), uri(ekURI(tpm.KeyHash(ca.cert.PublicKey)))))}),
		"a malformed identifier": with("x5c", [][]byte{cert(akTemplate(now, append([]byte{0xa0, 2}, 5, 0)))}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(raw, e.nonce, now)
			refused(t, err)
		})
	}
	t.Run("nonce", func(t *testing.T) {
		t.Parallel()
		_, err := v.Verify(encode(e.statement(both)), []byte("another"), now)
		refused(t, err)
		_, err = v.Verify(encode(e.statement(both)), nil, now)
		refused(t, err)
	})
	t.Run("no roots", func(t *testing.T) {
		t.Parallel()
		_, err := new(tpm.Verifier).Verify(encode(e.statement(both)), e.nonce, now)
		refused(t, err)
	})
	t.Run("a key twice", func(t *testing.T) {
		t.Parallel()
		raw := encode(e.statement(both))
		raw[0]++ // one more pair
		_, err := v.Verify(slices.Concat(raw, encode("ver"), encode("2.0")), e.nonce, now)
		refused(t, err)
	})
}

func renamed(s map[string]any, from, to string) map[string]any {
	s = maps.Clone(s)
	s[to] = s[from]
	delete(s, from)
	return s
}

func (ca *attestationCA) intermediate(t testing.TB, now time.Time) *attestationCA {
	t.Helper()
	own := newCA(t, now)
	own.cert = sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: own.cert.Subject, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}, ca.cert, own.cert.PublicKey, ca.key)
	return own
}

// A statement is a stranger's bytes; whatever they are, they are refused, since
// nobody signed them.
func FuzzStatement(f *testing.F) {
	e, now := evidenceOf(f), time.Now()
	ca := newCA(f, now)
	cert := sign(f, akTemplate(now, permanent("dev-0001"), uri(ekURI(e.ekHash(f)))), ca.cert, e.akKey, ca.key)
	good := encode(e.statement(cert.Raw))
	f.Add(good)
	f.Add(encode(map[string]any{"ver": "2.0", "x5c": [][]byte{cert.Raw}}))
	f.Add([]byte{0xbf, 0xff})
	f.Add([]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	v := tpm.Verifier{Roots: ca.pool()}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := v.Verify(raw, e.nonce, now)
		if err != nil {
			refused(t, err)
			return
		}
		// Only what says the same may pass: the parts that are signed are as they were.
		var s map[string]any
		if err := cbor.Unmarshal(raw, &s); err != nil || r.Attested.KeyHash == "" || len(r.Identifiers) == 0 {
			t.Errorf("took %x: %+v, %v", raw, r, err)
		}
	})
}

// The parts that no certificate comes before: a device that enrols sends them.
func FuzzCertified(f *testing.F) {
	e := evidenceOf(f)
	f.Add(e.ak.Public, e.key.Public, e.info, e.signature, e.ek.Certificate)
	f.Add(rsaArea(2048, 0), rsaArea(2048, 0), e.info, rsaSigned(&tpm.Certified{}).Signature, e.ek.Public)
	roots, now := pool(f, e.roots), time.Now()
	want, err := e.key.Key()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, ak, public, info, signature, ek []byte) {
		if k, err := tpm.ParseAK(ak); err != nil {
			refused(t, err)
		} else if _, err := tpm.VerifyCertified(k.Key, &tpm.Certified{Public: public, Info: info, Signature: signature}, e.nonce); err != nil {
			refused(t, err)
		}
		key, err := tpm.VerifyCertified(e.akKey, &tpm.Certified{Public: public, Info: info, Signature: signature}, e.nonce)
		if err != nil {
			refused(t, err)
		} else if tpm.KeyHash(key) != tpm.KeyHash(want) {
			t.Errorf("took another key")
		}
		if _, err := tpm.VerifyEK(ek, roots, nil, now); err != nil {
			refused(t, err)
		}
		if _, err := tpm.ParseEK(ek); err != nil {
			refused(t, err)
		}
	})
}
