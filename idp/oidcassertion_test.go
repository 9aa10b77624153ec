package idp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// TestOIDCAssertionWorksOnce: who saw a token request cannot use its client
// assertion again, whatever came of it (RFC 7523 section 3, item 7).
func TestOIDCAssertionWorksOnce(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	w.party.OIDC.Keys = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1"}}}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil))(t)
	assertion := func() string {
		claims := map[string]any{"iss": clientID, "sub": clientID, "aud": w.op.TokenURL, "jti": rand.Text(), "exp": w.now().Add(time.Minute).Unix()}
		return must(must(signer.Sign(must(json.Marshal(claims))(t)))(t).CompactSerialize())(t)
	}
	redeem := func(code, assertion string, changes ...string) reply {
		t.Helper()
		return w.redeem(code, append([]string{"client_secret", "", "client_assertion", assertion,
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, changes...)...)
	}
	want := func(name string, got reply, status int, code string) {
		t.Helper()
		if got.status != status || !strings.Contains(got.body, `"error":"`+code+`"`) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}

	code, used := w.code(client), assertion()
	want("another redirect URI", redeem(code, used, "redirect_uri", redirectURI+"?tenant=2"), 400, "invalid_grant")
	want("the assertion of a refused request", redeem(code, used), 401, "invalid_client")
	want("for another code", redeem(w.code(client), used), 401, "invalid_client")

	used = assertion()
	want("no such code", redeem("x", used), 400, "invalid_grant")
	want("the assertion of a request for nothing", redeem(code, used), 401, "invalid_client")

	used = assertion()
	token := w.tokens(redeem(code, used)).AccessToken
	want("the whole request again", redeem(code, used), 401, "invalid_client")
	if got := w.userInfo(token); got.status != http.StatusOK {
		t.Errorf("somebody without the key revoked the access token: %d %s", got.status, got.body)
	}
	want("the code again, by the client itself", redeem(code, assertion()), 400, "invalid_grant")
	if got := w.userInfo(token); got.status != http.StatusUnauthorized {
		t.Errorf("access token of a code that was used twice: %d", got.status)
	}
}
