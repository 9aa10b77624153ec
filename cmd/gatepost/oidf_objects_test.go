package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

// The modules that make requests by request objects or the claims parameter.

// objectOf puts all parameters of a request into the claims of a request object.
func objectOf(t *testing.T, request url.Values, more map[string]any) []byte {
	t.Helper()
	claims := map[string]any{}
	for name := range request {
		claims[name] = request.Get(name)
	}
	for name, value := range more {
		claims[name] = value
	}
	object, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// unsecured is a JWT by alg none (RFC 7519 section 6).
func unsecured(payload []byte) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
}

// outside is what the suite repeats of a request outside the request object, and
// the object; state and nonce are inside only.
func outside(request url.Values, name, value string) url.Values {
	q := url.Values{name: {value}}
	for _, name := range []string{"response_type", "client_id", "scope", "redirect_uri"} {
		q[name] = request[name]
	}
	return q
}

func opRequestURI(t *testing.T, s *opSuite) {
	request := s.request()
	object := unsecured(objectOf(t, request, nil))
	var fetched atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Store(true)
		w.Write([]byte(object))
	}))
	defer elsewhere.Close()

	answer := s.authorize(t, outside(request, "request_uri", elsewhere.URL+"/request.jwt"))
	wantError(t, answer, "request_uri_not_supported")
	if fetched.Load() {
		t.Error("the request object was fetched")
	}
	if s.metadata.RequestURI == nil || *s.metadata.RequestURI {
		t.Error("the discovery document lets a client send request_uri")
	}
	wantNone(t, s.metadata.RequestObjectAlgs)
}

// The suite takes a success, or request_not_supported; but request objects are
// supported, when they are signed.
func opUnsignedObject(t *testing.T, s *opSuite) {
	wantNone(t, s.metadata.RequestObjectAlgs)
	request := s.request()
	answer := s.authorize(t, outside(request, "request", unsecured(objectOf(t, request, nil))))
	wantError(t, answer, "invalid_request_object")
}

// The suite's object is unsigned; this one is signed, and so has its time and
// audience in it. What it says of the redirect URI counts.
func opObjectRedirectURI(t *testing.T, s *opSuite) {
	if !s.metadata.Request {
		t.Error("the discovery document does not let a client send request objects")
	}
	request := s.request()
	now := s.clock.now().Unix()
	object := objectOf(t, request, map[string]any{
		"iss": s.clientID, "aud": s.metadata.Issuer, "iat": now, "exp": now + int64(time.Minute/time.Second), "jti": request.Get("nonce"),
	})
	signed, err := s.signer.Sign(object)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	const invalid = suiteRedirectURI + "/elsewhere"
	sent := outside(request, "request", compact)
	sent.Set("redirect_uri", invalid)
	answer := s.callback(t, s.get(t, s.device, sent.Encode()), request.Get("state"))
	s.finish(t, request, s.token(t, tokenForm(codeOf(t, answer))))

	// The suite's own request: nothing in it can be believed.
	sent.Set("request", unsecured(objectOf(t, request, nil)))
	wantPage(t, s.get(t, s.device, sent.Encode()), "elsewhere")
}

// No name is known of a user. A claim that cannot be given is no error (OpenID
// Connect core 5.5.1); the suite warns.
func opClaimsEssential(t *testing.T, s *opSuite) {
	s.signIn(t, s.request("claims", `{"userinfo": {"name": {"essential": true}}}`)).wantClaims(t, "sub", suiteOwner, "name", "")
}
