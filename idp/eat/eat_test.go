package eat

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"gatepost.dev/posture"
)

type key struct{ *rsa.PrivateKey }

func (k key) Sign(_ context.Context, digest []byte) ([]byte, error) {
	return rsa.SignPKCS1v15(rand.Reader, k.PrivateKey, crypto.SHA256, digest)
}

type broken struct{}

func (broken) Sign(context.Context, []byte) ([]byte, error) { return nil, errors.New("no") }

// TestResult: another library reads and verifies it, and nothing is in it but what
// the profile says.
func TestResult(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	r := Result{
		Issuer: "https://posture.example.com/saml/metadata", Audience: "https://acme", DeviceID: "mac-1", Request: "id123456",
		Key: &posture.AttestedKey{Format: "tpm", KeyHash: "secret-1", HardwareID: "secret-2", Serial: "secret-3", Model: "SLB 9670", At: now.Add(-time.Hour), Pinned: true},
	}
	text, err := r.Sign(t.Context(), now, "k1", "RS256", key{private})
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(private.Public())
	if h := jws.Signatures[0].Protected; err != nil || h.KeyID != "k1" || h.ExtraHeaders[jose.HeaderType] != Type {
		t.Errorf("%+v, %v", h, err)
	}
	var said map[string]any
	if err := json.Unmarshal(payload, &said); err != nil {
		t.Fatal(err)
	}
	if id, _ := said["jti"].(string); len(id) < 20 {
		t.Errorf("jti %q", id)
	}
	delete(said, "jti")
	at := float64(now.Unix())
	if want := map[string]any{
		"iss": r.Issuer, "aud": "https://acme", "sub": "mac-1", "iat": at, "exp": at + 300, "eat_nonce": "id123456", "eat_profile": Profile,
		"hwmodel": "U0xCIDk2NzA", "att_fmt": "tpm", "att_time": at - 3600, "att_pinned": true,
	}; !reflect.DeepEqual(said, want) {
		t.Errorf("%v, want %v", said, want)
	}
	if strings.Contains(string(payload), "secret") {
		t.Errorf("names the hardware: %s", payload)
	}
	if _, err := r.Sign(t.Context(), now, "k1", "RS256", broken{}); err == nil {
		t.Error("signed without a signature")
	}
	if _, err := (&Result{Issuer: "i", Audience: "a", DeviceID: "d"}).Sign(t.Context(), now, "k1", "RS256", key{private}); err == nil {
		t.Error("signed without a key")
	}
}

// TestNonce: RFC 9711 section 4.1 wants 8 to 88 bytes.
func TestNonce(t *testing.T) {
	t.Parallel()
	for _, request := range []string{"", "1234567", strings.Repeat("a", 89)} {
		if n := nonce(request); len(n) != 43 || n == request {
			t.Errorf("%q: %q", request, n)
		}
	}
	for _, request := range []string{"12345678", strings.Repeat("a", 88)} {
		if n := nonce(request); n != request {
			t.Errorf("%q: %q", request, n)
		}
	}
}
