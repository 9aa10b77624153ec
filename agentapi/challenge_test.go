package agentapi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const issuer = "https://posture.example.com"

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certificateOf(t testing.TB, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mac-1"}, NotBefore: noon, NotAfter: noon.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestChallengeIsRead(t *testing.T) {
	t.Parallel()
	key, other := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	c := Challenge{Issuer: issuer, ID: "c1", SignIn: "s1", Expires: noon.Add(ChallengeLife)}
	text, err := c.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := func(change func(c *Challenge)) string {
		changed := c
		change(&changed)
		text, err := changed.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	answer, err := SignAnswer(text, issuer, certificateOf(t, key), key)
	if err != nil {
		t.Fatal(err)
	}
	typeless, err := sign(key, "JWT", nil, challengeClaims{c.Issuer, agentAudience, c.ID, c.SignIn, c.Expires.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what, text string
		key        *ecdsa.PrivateKey
		issuer     string
		after      time.Duration
		skew, ok   bool
	}{
		{"at once", text, key, issuer, 0, false, true},
		{"just in time", text, key, issuer, ChallengeLife - time.Second, false, true},
		{"late", text, key, issuer, ChallengeLife, false, false},
		{"late by a clock that is ahead", text, key, issuer, ChallengeLife + 4*time.Minute, true, true},
		{"late by any clock", text, key, issuer, ChallengeLife + 5*time.Minute, true, false},
		{"early by a clock that is behind", text, key, issuer, -4 * time.Minute, true, true},
		{"by a server that is ahead", text, key, issuer, -2 * time.Second, false, true},
		{"for too long", text, key, issuer, -6 * time.Second, false, false},
		{"by another key", text, other, issuer, 0, false, false},
		{"from another server", text, key, "https://evil.example.com", 0, false, false},
		{"changed", text[:len(text)-100] + "A" + text[len(text)-99:], key, issuer, 0, false, false},
		{"without an ID", unsigned(func(c *Challenge) { c.ID = "" }), key, issuer, 0, false, false},
		{"without a sign-in", unsigned(func(c *Challenge) { c.SignIn = "" }), key, issuer, 0, false, false},
		{"of another type", typeless, key, issuer, 0, false, false},
		{"an answer", answer, key, issuer, 0, false, false},
		{"nothing", "", key, issuer, 0, false, false},
		{"no JWS", "a.b.c", key, issuer, 0, false, false},
		{"with a space", text + " ", key, issuer, 0, false, false},
		{"not signed", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"gatepost-challenge+jwt"}`)) + text[strings.Index(text, "."):strings.LastIndex(text, ".")+1], key, issuer, 0, false, false},
	} {
		read, err := ReadChallenge(tt.text, tt.key.Public(), tt.issuer, noon.Add(tt.after), tt.skew)
		switch {
		case tt.ok && (err != nil || read.ID != c.ID || read.SignIn != c.SignIn || !read.Expires.Equal(c.Expires)):
			t.Errorf("%s: %+v, %v", tt.what, read, err)
		case !tt.ok && !errors.Is(err, ErrChallenge):
			t.Errorf("%s: %+v, %v", tt.what, read, err)
		}
	}
}

func TestAnswerIsRead(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, other := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	for _, key := range []crypto.Signer{p256, ecKey(t, elliptic.P384()), rsaKey} {
		certificate := certificateOf(t, key)
		text, err := SignAnswer("the challenge", issuer, certificate, key)
		if err != nil {
			t.Fatal(err)
		}
		a, err := ReadAnswer(text, issuer)
		if err != nil || a.Challenge != "the challenge" || !a.Certificate.Equal(certificate) {
			t.Errorf("%T: %+v, %v", key, a, err)
		}
		if _, err := ReadAnswer(text, "https://evil.example.com"); !errors.Is(err, ErrChallenge) {
			t.Errorf("%T to another: %v", key, err)
		}
	}
	copied, err := SignAnswer("the challenge", issuer, certificateOf(t, p256), other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadAnswer(copied, issuer); !errors.Is(err, ErrChallenge) {
		t.Errorf("with the certificate of another key: %v", err)
	}
	challenge, err := (&Challenge{Issuer: issuer, ID: "c1", SignIn: "s1"}).Sign(p256)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{challenge, "", "..", strings.Repeat("A", maxJWS+1)} {
		if _, err := ReadAnswer(text, issuer); !errors.Is(err, ErrChallenge) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	key := ecKey(f, elliptic.P256())
	text, err := (&Challenge{Issuer: issuer, ID: "c1", SignIn: "s1", Expires: noon.Add(ChallengeLife)}).Sign(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ReadChallenge(text, key.Public(), issuer, noon, false)
		if err == nil && (c.Issuer != issuer || c.ID == "" || c.SignIn == "") || err != nil && !errors.Is(err, ErrChallenge) {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	key := ecKey(f, elliptic.P256())
	text, err := SignAnswer("challenge", issuer, certificateOf(f, key), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ReadAnswer(text, issuer)
		if err == nil && a.Certificate == nil || err != nil && !errors.Is(err, ErrChallenge) {
			t.Errorf("%q: %+v, %v", text, a, err)
		}
	})
}
