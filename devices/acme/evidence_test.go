package acme

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/devices/attestation/apple"
	"gatepost.dev/devices/attestation/tpm"
)

// refusedAs wants that the evidence ended the order with the problem, and that
// nothing came of it.
func (c *client) refusedAs(kind, what, id string, key *ecdsa.PrivateKey, a answer) {
	c.w.t.Helper()
	problem, _ := a.body["error"].(map[string]any)
	if got, _ := problem["type"].(string); a.status != http.StatusOK || a.body["status"] != "invalid" || !strings.HasSuffix(got, ":"+kind) {
		c.w.t.Errorf("%s: %+v", what, a)
	}
	if a := c.finalize(id, key); a.status != http.StatusForbidden || c.w.issued("mac-1") != 0 {
		c.w.t.Errorf("%s: finalized: %+v", what, a)
	}
}

// authorization is the key authorization of the account for the token.
func (c *client) authorization(token string) string {
	c.w.t.Helper()
	sum, err := thumbprint(&jose.JSONWebKey{Key: c.key.Public()})
	if err != nil {
		c.w.t.Fatal(err)
	}
	return token + "." + sum
}

// TestEvidenceOfTPM: what a real TPM says is of use to the one order and account
// that it was said for.
func TestEvidenceOfTPM(t *testing.T) {
	t.Parallel()
	w := newTPMWorld(t)
	w.device("mac-1", w.hash, "")
	w.device("mac-2", "", "")
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.Authority.Certificate)
	w.server.Formats = map[string]Format{tpm.Format: {Verifier: &tpm.Verifier{Roots: roots}, Nonce: NonceOfAuthorization}}
	chain := w.certified()
	made, err := w.tpm.CreateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := w.tpm.Signer(made)
	if err != nil {
		t.Fatal(err)
	}
	evidence := func(c *client, nonce []byte, x5c [][]byte) map[string]string {
		t.Helper()
		info, signature, err := w.tpm.Certify(w.ak, made, nonce)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"attObj": c.object("tpm", map[string]any{
			"ver": "2.0", "alg": -7, "x5c": x5c, "sig": signature, "certInfo": info, "pubArea": made.Public,
		})}
	}
	other := w.client()
	_, otherToken := other.order("mac-1")
	copied := evidence(other, NonceOfAuthorization("", other.authorization(otherToken)), chain)
	stranger := newTPMWorld(t)
	stranger.device("mac-1", stranger.hash, "")
	foreign := stranger.certified()
	for _, tt := range []struct {
		what, identifier, kind string
		evidence               func(c *client, token string) map[string]string
	}{
		{"the nonce of a token alone", "mac-1", "badAttestationStatement", func(c *client, token string) map[string]string {
			return evidence(c, NonceOfToken(token, ""), chain)
		}},
		{"copied from another order", "mac-1", "badAttestationStatement", func(*client, string) map[string]string { return copied }},
		{"another device", "mac-2", "rejectedIdentifier", func(c *client, token string) map[string]string {
			return evidence(c, NonceOfAuthorization("", c.authorization(token)), chain)
		}},
		{"a chain of another authority", "mac-1", "badAttestationStatement", func(c *client, token string) map[string]string {
			return evidence(c, NonceOfAuthorization("", c.authorization(token)), foreign)
		}},
		{"no chain", "mac-1", "badAttestationStatement", func(c *client, token string) map[string]string {
			return evidence(c, NonceOfAuthorization("", c.authorization(token)), nil)
		}},
	} {
		c := w.client()
		id, token := c.order(tt.identifier)
		c.refusedAs(tt.kind, tt.what, id, newKey(t), c.post(pathChallenge+id, tt.evidence(c, token)))
	}
	c := w.client()
	id, token := c.order("mac-1")
	if a := c.post(pathChallenge+id, evidence(c, NonceOfAuthorization("", c.authorization(token)), chain)); a.body["status"] != "valid" {
		t.Fatalf("%+v", a)
	}
	if a := c.finalize(id, newKey(t)); a.kind != "badCSR" || w.issued("mac-1") != 0 {
		t.Errorf("a key outside the TPM: %+v", a)
	}
	if a := c.finalize(id, signer); a.body["status"] != "valid" || w.issued("mac-1") != 1 {
		t.Errorf("%+v", a)
	}
}

// mac makes chains as Apple does.
type mac struct {
	t    *testing.T
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newMac(t *testing.T) *mac {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m := &mac{t: t, key: key}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: begin.Add(-time.Hour), NotAfter: begin.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	m.root = m.certificate(template, template, key)
	return m
}

func (m *mac) certificate(template, above *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	m.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, above, key.Public(), m.key)
	if err != nil {
		m.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

// statement vouches for the key; a nonce of none is left out.
func (m *mac) statement(key *ecdsa.PrivateKey, serial, udid string, nonce []byte) map[string]any {
	m.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: begin.Add(-time.Minute), NotAfter: begin.Add(time.Minute), KeyUsage: x509.KeyUsageDigitalSignature}
	for arc, value := range map[[2]int]string{{9, 1}: serial, {9, 2}: udid, {11, 1}: string(nonce)} {
		if value != "" {
			template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, arc[0], arc[1]}, Value: []byte(value)})
		}
	}
	return map[string]any{"x5c": [][]byte{m.certificate(template, m.root, key).Raw, m.root.Raw}}
}

// TestEvidenceOfApple: the serial number finds the device, and the nonce is that of
// the token.
func TestEvidenceOfApple(t *testing.T) {
	t.Parallel()
	w, m := newWorld(t), newMac(t)
	w.device("mac-1", "", "C02ABC")
	roots := x509.NewCertPool()
	roots.AddCert(m.root)
	w.server.Formats = map[string]Format{apple.Format: {Verifier: &apple.Verifier{Roots: roots}, Nonce: NonceOfToken}}
	key := newKey(t)
	other := w.client()
	_, otherToken := other.order("C02ABC")
	for _, tt := range []struct {
		what, identifier, kind string
		statement              func(c *client, token string) map[string]any
	}{
		{"copied from another order", "C02ABC", "badAttestationStatement", func(*client, string) map[string]any {
			return m.statement(key, "C02ABC", "0001", NonceOfToken(otherToken, ""))
		}},
		{"no nonce", "C02ABC", "badAttestationStatement", func(*client, string) map[string]any { return m.statement(key, "C02ABC", "0001", nil) }},
		{"the nonce of TPMs", "C02ABC", "badAttestationStatement", func(c *client, token string) map[string]any {
			return m.statement(key, "C02ABC", "0001", NonceOfAuthorization("", c.authorization(token)))
		}},
		{"another authority", "C02ABC", "badAttestationStatement", func(_ *client, token string) map[string]any {
			return newMac(t).statement(key, "C02ABC", "0001", NonceOfToken(token, ""))
		}},
		{"a device that a user enrolled", "C02ABC", "badAttestationStatement", func(_ *client, token string) map[string]any {
			return m.statement(key, "", "", NonceOfToken(token, ""))
		}},
		{"another serial number", "C02ABC", "rejectedIdentifier", func(_ *client, token string) map[string]any {
			return m.statement(key, "C02XYZ", "0001", NonceOfToken(token, ""))
		}},
		{"a serial number that nobody knows", "C02XYZ", "rejectedIdentifier", func(_ *client, token string) map[string]any {
			return m.statement(key, "C02XYZ", "0001", NonceOfToken(token, ""))
		}},
		{"the device's ID, which Apple does not know", "mac-1", "rejectedIdentifier", func(_ *client, token string) map[string]any {
			return m.statement(key, "C02ABC", "0001", NonceOfToken(token, ""))
		}},
		{"a UDID", "0001", "rejectedIdentifier", func(_ *client, token string) map[string]any {
			return m.statement(key, "C02ABC", "0001", NonceOfToken(token, ""))
		}},
	} {
		c := w.client()
		id, token := c.order(tt.identifier)
		c.refusedAs(tt.kind, tt.what, id, key, c.post(pathChallenge+id, map[string]string{"attObj": c.object("apple", tt.statement(c, token))}))
	}
	c := w.client()
	id, token := c.order("C02ABC")
	padded := c.object("apple", m.statement(key, "C02ABC", "0001", NonceOfToken(token, ""))) + "=" // as Apple's client does
	if a := c.post(pathChallenge+id, map[string]string{"attObj": padded}); a.body["status"] != "valid" {
		t.Fatalf("%+v", a)
	}
	if a := c.finalize(id, key); a.body["status"] != "valid" || w.issued("mac-1") != 1 {
		t.Errorf("%+v", a)
	}
}
