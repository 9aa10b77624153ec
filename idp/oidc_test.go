package idp_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.dev/idp"
	"gatepost.dev/idp/oidc"
	"gatepost.dev/posture"
)

func TestOIDCManagedDeviceSignsIn(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	got := w.authorize(client, ask("state", "s+/ä&=", "login_hint", "User@example.com", "app_instance_id", "0oa1", "OktaAppName", " Payroll & <Co> "))
	if got.status != http.StatusSeeOther || got.fields.Get("state") != "s+/ä&=" || got.fields.Get("iss") != w.op.Issuer || len(got.fields) != 3 {
		t.Fatalf("authorization response: %d %v", got.status, got.fields)
	}
	if cache := got.header.Get("Cache-Control"); cache != "no-store" {
		t.Errorf("Cache-Control %q", cache)
	}
	d := w.lastDecision()
	if d.Protocol != "oidc" || d.Outcome != posture.Asserted || d.DeviceID != "mac-1" || d.Subject != "User@example.com" || d.RelyingParty != "acme" ||
		d.App != (posture.AppContext{InstanceID: "0oa1", Name: " Payroll & <Co> "}) || d.Certificate == "" || d.AnswerID == "" || !d.Managed || !d.Compliant {
		t.Errorf("decision %+v", d)
	}
	answer := w.redeem(got.fields.Get("code"))
	tok := w.tokens(answer)
	if tok.TokenType != "Bearer" || tok.ExpiresIn != 300 || tok.Scope != "openid email profile" || answer.header.Get("Cache-Control") != "no-store" ||
		answer.header.Get("Content-Type") != "application/json" {
		t.Errorf("token response: %+v %v", tok, answer.header)
	}
	info := w.userInfo(tok.AccessToken)
	w.logged.wait("GET /oidc/userinfo")
	var claims map[string]any
	if err := json.Unmarshal([]byte(info.body), &claims); err != nil || info.status != http.StatusOK {
		t.Fatalf("user info: %d %s %v", info.status, info.body, err)
	}
	want := map[string]any{
		"sub": "user@example.com", "device_context": map[string]any{"managed": true, "compliant": true, "externalId": "mac-1"},
		"email": "User@example.com", "preferred_username": "User@example.com",
		"app_instance_id": "0oa1", "OktaAppName": " Payroll & <Co> ", "app_name": " Payroll & <Co> ",
	}
	if !reflect.DeepEqual(claims, want) {
		t.Errorf("user info\n%v, want\n%v", claims, want)
	}
	for name, value := range want {
		if !reflect.DeepEqual(tok.claims[name], value) {
			t.Errorf("ID token: %s is %v, want %v", name, tok.claims[name], value)
		}
	}
	if tok.claims["nonce"] != "nonce-1" || tok.claims["acr"] != "urn:okta:saml:2.0:DevicePosture" || !reflect.DeepEqual(tok.claims["amr"], []any{"pop"}) ||
		tok.claims["auth_time"] == nil || tok.claims["aud"] != clientID {
		t.Errorf("ID token: %v", tok.claims)
	}
	for _, word := range []string{got.fields.Get("code"), tok.AccessToken, tok.IDToken, secret, "s+/"} {
		if strings.Contains(w.logged.String(), word) {
			t.Errorf("the log holds %q", word)
		}
	}
}

// TestOIDCRefusals is every verdict that is refused, and what the relying party
// and the decision are told.
func TestOIDCRefusals(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	w.device("own", map[string]string{posture.FactManaged: "false"})
	w.device("risky", map[string]string{posture.FactManaged: "true", posture.FactCompliant: "false"})
	unknown, _ := w.unrecorded(w.authority, "nobody", time.Hour)
	unmanaged, risky := browser(w.certificate("own", time.Hour)), browser(w.certificate("risky", time.Hour))
	refused := func(name string, client *http.Client, q url.Values, code, description string, reason posture.Reason) {
		t.Helper()
		got := w.authorize(client, q)
		if got.status != http.StatusSeeOther || got.fields.Get("error") != code || got.fields.Get("error_description") != description ||
			got.fields.Get("state") != "state-1" || got.fields.Get("iss") != w.op.Issuer || got.fields.Has("code") {
			t.Errorf("%s: %d %v", name, got.status, got.fields)
		}
		if d := w.lastDecision(); d.Outcome != posture.Refused || d.Status != code || d.Reason != reason || d.Protocol != "oidc" {
			t.Errorf("%s: decision %+v", name, d)
		}
	}
	refused("no certificate", browser(nil), ask(), "access_denied", "DEVICE_NOT_MANAGED", posture.NoCertificate)
	refused("no certificate, nobody to ask", browser(nil), ask("prompt", "none"), "login_required", "DEVICE_NOT_MANAGED", posture.NoCertificate)
	refused("unknown device", browser(unknown), ask(), "access_denied", "DEVICE_NOT_MANAGED", posture.UnknownDevice)
	refused("unmanaged", unmanaged, ask(), "access_denied", "DEVICE_NOT_MANAGED", posture.NotManaged)
	refused("unmanaged, nobody to ask", unmanaged, ask("prompt", "none"), "access_denied", "DEVICE_NOT_MANAGED", posture.NotManaged)
	refused("another sub is demanded", client, ask("claims", `{"id_token":{"sub":{"value":"al@example.com"}}}`), "login_required", "another user was asked for", "other_subject")

	w.party.RefuseNoncompliant = true
	refused("not compliant", risky, ask(), "access_denied", "DEVICE_NOT_COMPLIANT", posture.NotCompliant)
	w.party.BindOwner = posture.BindEnforce
	refused("somebody else's device", client, ask("login_hint", "al@example.com"), "access_denied", "DEVICE_NOT_MANAGED", posture.OwnerMismatch)
	if got := w.authorize(client, ask("login_hint", "OWNER@example.com")); !got.fields.Has("code") {
		t.Errorf("the owner himself: %v", got.fields)
	}

	must(w.records.UpdateDevice(t.Context(), "shared", func(d *posture.Device, _ bool) error {
		d.Apply(&posture.Report{DeviceID: "shared", Facts: managed}, posture.Source{Name: "import", Kind: posture.Import}, w.now())
		return nil
	}))(t)
	w.party.BindOwner = posture.BindOff
	refused("nobody is known", browser(w.certificate("shared", time.Hour)), ask(), "access_denied", "NO_SUBJECT", posture.NoSubject)
	refused("nobody is known, nobody to ask", browser(w.certificate("shared", time.Hour)), ask("prompt", "none"), "login_required", "NO_SUBJECT", posture.NoSubject)
}

func TestOIDCAssertsUnmanagedWhenToldTo(t *testing.T) {
	t.Parallel()
	w, _ := newOIDCWorld(t, func(w *world) { w.party.AssertUnmanaged = true })
	w.device("risky", map[string]string{posture.FactManaged: "true", posture.FactCompliant: "false"})
	for _, tt := range []struct {
		name    string
		client  *http.Client
		context map[string]any
		amr     []any
	}{
		{"no certificate", browser(nil), map[string]any{"managed": false, "compliant": false}, []any{}},
		{"not compliant", browser(w.certificate("risky", time.Hour)), map[string]any{"managed": true, "compliant": false, "externalId": "risky"}, []any{"pop"}},
	} {
		tok := w.tokens(w.redeem(w.code(tt.client, "login_hint", user)))
		if !reflect.DeepEqual(tok.claims["device_context"], tt.context) || !reflect.DeepEqual(tok.claims["amr"], tt.amr) || tok.claims["sub"] != user {
			t.Errorf("%s: %v", tt.name, tok.claims)
		}
	}
}

// TestOIDCAssertsAnothersDevice: an owner that does not match is a verdict like
// others, which on_unmanaged has asserted instead of refused.
func TestOIDCAssertsAnothersDevice(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t, func(w *world) { w.party.AssertUnmanaged, w.party.BindOwner = true, posture.BindEnforce })
	tok := w.tokens(w.redeem(w.code(client, "login_hint", user)))
	if want := map[string]any{"managed": false, "compliant": false, "externalId": "mac-1"}; !reflect.DeepEqual(tok.claims["device_context"], want) {
		t.Errorf("device_context is %v, want %v", tok.claims["device_context"], want)
	}
	if d := w.lastDecision(); d.Managed || d.Compliant || d.Reason != posture.OwnerMismatch || d.Subject != user {
		t.Errorf("decision %+v", d)
	}
}

// TestOIDCPagesForTheUserAlone is every request whose sender cannot be told.
func TestOIDCPagesForTheUserAlone(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	for name, q := range map[string]url.Values{
		"unknown_client": ask("client_id", "nobody"),
		"redirect_uri":   ask("redirect_uri", redirectURI+"/"),
	} {
		got := w.authorize(client, q)
		if got.status != http.StatusBadRequest || got.fields != nil || !w.logged.wait(`"reason":"`+name+`"`) {
			t.Errorf("%s: %d %v", name, got.status, got.header)
		}
	}
	twice := w.authorize(client, url.Values{"client_id": {clientID, clientID}})
	if twice.status != http.StatusBadRequest {
		t.Errorf("parameter given twice: %d", twice.status)
	}
	got := w.do(client, http.MethodPost, w.op.AuthorizeURL, ask(), "Content-Type", "text/plain")
	if got.status != http.StatusBadRequest {
		t.Errorf("POST of no form: %d", got.status)
	}
	if got = w.do(client, http.MethodHead, w.op.AuthorizeURL, ask()); got.status != http.StatusBadRequest {
		t.Errorf("HEAD: %d", got.status)
	}
	if last := must(w.records.LastDecisions(t.Context(), 1))(t); len(last) != 0 {
		t.Errorf("a decision was recorded: %+v", last)
	}
}

func TestOIDCRequestErrorsGoBack(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	for code, q := range map[string]url.Values{
		"unsupported_response_type":         ask("response_type", "id_token"),
		"invalid_scope":                     ask("scope", "email"),
		"invalid_request":                   ask("code_challenge", strings.Repeat("A", 43), "code_challenge_method", "plain"),
		"unmet_authentication_requirements": ask("acr_values", "urn:other"),
		"request_uri_not_supported":         ask("request_uri", "https://acme.okta.com/r"),
	} {
		got := w.authorize(client, q)
		if got.status != http.StatusSeeOther || got.fields.Get("error") != code || got.fields.Get("state") != "state-1" || got.fields.Get("iss") != w.op.Issuer {
			t.Errorf("%s: %d %v", code, got.status, got.fields)
		}
	}
	for _, reason := range []string{"response_type", "scope", "pkce_method", "acr", "request_uri"} {
		if !w.logged.wait(`"status":303,`) || !w.logged.wait(`"reason":"`+reason+`"`) {
			t.Errorf("the log has no reason %q: %s", reason, w.logged)
		}
	}
	w.party.OIDC.OmitIss = true
	if got := w.authorize(client, ask("scope", "email")); got.fields.Has("iss") {
		t.Errorf("iss for a client without it: %v", got.fields)
	}
}

func TestOIDCFormPost(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	for name, tt := range map[string]struct {
		client *http.Client
		want   []string
	}{
		"success": {client, []string{`name="code"`, `name="state" value="state-1"`, `name="iss" value="` + w.op.Issuer}},
		"refusal": {browser(nil), []string{`name="error" value="access_denied"`, `value="DEVICE_NOT_MANAGED"`, "not recognised as managed"}},
		"fault":   {browser(nil), []string{`name="error" value="invalid_scope"`, "could not be checked"}},
	} {
		q := ask("response_mode", "form_post", "redirect_uri", redirectURI+"?tenant=2")
		if name == "fault" {
			q.Set("scope", "email")
		}
		got := w.do(tt.client, http.MethodPost, w.op.AuthorizeURL, q)
		if got.status != http.StatusOK || !strings.Contains(got.body, `method="post" action="`+redirectURI+`?tenant=2"`) {
			t.Fatalf("%s: %d %s", name, got.status, got.body)
		}
		for _, part := range tt.want {
			if !strings.Contains(got.body, part) {
				t.Errorf("%s: %q is missing in %s", name, part, got.body)
			}
		}
	}
}

func TestOIDCIDTokenHint(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	hint := w.tokens(w.redeem(w.code(client, "login_hint", user))).IDToken
	w.offset.Add(int64(10 * time.Minute)) // it expired, which does not matter
	for name, tt := range map[string]struct {
		changes []string
		err     string
	}{
		"alone":              {[]string{"id_token_hint", hint}, ""},
		"nobody is asked":    {[]string{"id_token_hint", hint, "prompt", "none"}, ""},
		"the same user":      {[]string{"id_token_hint", hint, "login_hint", "USER@example.com"}, ""},
		"two users":          {[]string{"id_token_hint", hint, "login_hint", "al@example.com"}, "login_required"},
		"no token of ours":   {[]string{"id_token_hint", "x"}, "invalid_request"},
		"somebody's altered": {[]string{"id_token_hint", hint[:len(hint)-6] + "AAAAAA"}, "invalid_request"},
	} {
		got := w.authorize(client, ask(tt.changes...))
		if got.fields.Get("error") != tt.err || (tt.err == "") != got.fields.Has("code") {
			t.Errorf("%s: %v", name, got.fields)
			continue
		}
		if d := w.lastDecision(); tt.err == "" && oidc.SubjectOf(d.Subject) != user {
			t.Errorf("%s: subject %q", name, d.Subject)
		}
	}
}

// TestOIDCCodeIsUsedOnce races one code: of 100 redemptions one succeeds, and the
// others, coming from the client itself, revoke what it got (RFC 6749 section
// 4.1.2).
func TestOIDCCodeIsUsedOnce(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	code := w.code(client)
	replies := make([]reply, 100)
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() { replies[i] = w.redeem(code) })
	}
	wg.Wait()
	var won []tokens
	for _, r := range replies {
		switch {
		case r.status == http.StatusOK:
			won = append(won, w.tokens(r))
		case r.status != http.StatusBadRequest || !strings.Contains(r.body, `"error":"invalid_grant"`):
			t.Errorf("a redemption too late: %d %s", r.status, r.body)
		}
	}
	if len(won) != 1 {
		t.Fatalf("%d redemptions succeeded", len(won))
	}
	if info := w.userInfo(won[0].AccessToken); info.status != http.StatusUnauthorized || !strings.Contains(info.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("access token of a code that was used twice: %d %v", info.status, info.header)
	}
}

// TestOIDCTokenRefusals is every way to bring a code that is not honoured; none
// uses it up.
func TestOIDCTokenRefusals(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	code := w.code(client)
	for name, tt := range map[string]struct {
		changes []string
		status  int
		err     string
	}{
		"wrong secret":          {[]string{"client_secret", "wrong"}, 401, "invalid_client"},
		"no secret":             {[]string{"client_secret", ""}, 401, "invalid_client"},
		"unknown client":        {[]string{"client_id", "nobody"}, 401, "invalid_client"},
		"another redirect URI":  {[]string{"redirect_uri", redirectURI + "?tenant=2"}, 400, "invalid_grant"},
		"verifier from nowhere": {[]string{"code_verifier", strings.Repeat("v", 43)}, 400, "invalid_grant"},
		"no code at all":        {[]string{"code", "x"}, 400, "invalid_grant"},
		"password grant":        {[]string{"grant_type", "password"}, 400, "unsupported_grant_type"},
		"refresh":               {[]string{"grant_type", "refresh_token", "refresh_token", "x"}, 400, "unsupported_grant_type"},
	} {
		got := w.redeem(code, tt.changes...)
		if got.status != tt.status || !strings.Contains(got.body, `"error":"`+tt.err+`"`) || got.header.Get("Cache-Control") != "no-store" ||
			(tt.status == 401) != strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: %d %s %v", name, got.status, got.body, got.header)
		}
	}
	if unknown, wrong := w.redeem(code, "client_id", "nobody"), w.redeem(code, "client_secret", "wrong"); unknown.body != wrong.body {
		t.Errorf("an unknown client can be told from a wrong secret: %s %s", unknown.body, wrong.body)
	}
	if got := w.do(browser(nil), http.MethodPost, w.op.TokenURL+"?client_secret="+secret, nil); got.status != 400 || !strings.Contains(got.body, "invalid_request") {
		t.Errorf("secret in the URL: %d %s", got.status, got.body)
	}
	w.tokens(w.redeem(code)) // still good
	late := w.code(client)
	w.offset.Add(int64(oidc.CodeLifetime))
	if got := w.redeem(late); !strings.Contains(got.body, `"error":"invalid_grant"`) {
		t.Errorf("after %v: %s", oidc.CodeLifetime, got.body)
	}
}

func TestOIDCPKCE(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	// RFC 7636, appendix B.
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	code := w.code(client, "code_challenge", challenge, "code_challenge_method", "S256")
	for _, wrong := range []string{"", challenge, verifier[:42] + "l"} {
		if got := w.redeem(code, "code_verifier", wrong); !strings.Contains(got.body, `"error":"invalid_grant"`) {
			t.Errorf("verifier %q: %s", wrong, got.body)
		}
	}
	w.tokens(w.redeem(code, "code_verifier", verifier))
	w.party.OIDC.RequirePKCE = true
	if got := w.authorize(client, ask()); got.fields.Get("error") != "invalid_request" {
		t.Errorf("without PKCE: %v", got.fields)
	}
}

func TestOIDCBasicAuthentication(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	form := ask("response_type", "", "scope", "", "state", "", "nonce", "", "client_id", "", "grant_type", "authorization_code", "code", w.code(client))
	basic := func(id, secret string) reply {
		r := must(http.NewRequest(http.MethodGet, "https://x/", nil))(t)
		r.SetBasicAuth(id, secret)
		return w.do(browser(nil), http.MethodPost, w.op.TokenURL, form, "Authorization", r.Header.Get("Authorization"))
	}
	if got := basic(clientID, "wrong"); got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("wrong secret: %d %v", got.status, got.header)
	}
	w.tokens(basic(clientID, secret))
}

func TestOIDCUserInfo(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	token := w.tokens(w.redeem(w.code(client))).AccessToken
	back := browser(nil)
	form := url.Values{"access_token": {token}}
	for name, r := range map[string]reply{
		"header":         w.do(back, http.MethodGet, w.op.UserInfoURL, nil, "Authorization", "Bearer "+token),
		"other case":     w.do(back, http.MethodGet, w.op.UserInfoURL, nil, "Authorization", "bearer "+token),
		"posted header":  w.do(back, http.MethodPost, w.op.UserInfoURL, nil, "Authorization", "Bearer "+token),
		"posted as form": w.do(back, http.MethodPost, w.op.UserInfoURL, form),
	} {
		if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") != "no-store" ||
			!strings.Contains(r.body, `"device_context":{"managed":true,"compliant":true,"externalId":"mac-1"}`) {
			t.Errorf("%s: %d %v %s", name, r.status, r.header, r.body)
		}
	}
	for name, tt := range map[string]struct {
		r         reply
		status    int
		challenge string
	}{
		"nothing":        {w.do(back, http.MethodGet, w.op.UserInfoURL, nil), 401, `Bearer realm="userinfo"`},
		"basic":          {w.do(back, http.MethodGet, w.op.UserInfoURL, nil, "Authorization", "Basic eDp5"), 401, `Bearer realm="userinfo"`},
		"no token":       {w.userInfo("x"), 401, `error="invalid_token"`},
		"another":        {w.userInfo(token[:len(token)-4] + "AAAA"), 401, `error="invalid_token"`},
		"both ways":      {w.do(back, http.MethodPost, w.op.UserInfoURL, form, "Authorization", "Bearer "+token), 400, `error="invalid_request"`},
		"in the URL":     {w.do(back, http.MethodGet, w.op.UserInfoURL, form), 400, `error="invalid_request"`},
		"posted no form": {w.do(back, http.MethodPost, w.op.UserInfoURL, form, "Content-Type", "application/json"), 400, `error="invalid_request"`},
	} {
		if tt.r.status != tt.status || !strings.Contains(tt.r.header.Get("WWW-Authenticate"), tt.challenge) {
			t.Errorf("%s: %d %v %s", name, tt.r.status, tt.r.header, tt.r.body)
		}
	}
	id := w.party.OIDC
	w.party.OIDC = nil // the client was removed
	if r := w.userInfo(token); r.status != http.StatusUnauthorized {
		t.Errorf("removed client: %d", r.status)
	}
	w.party.OIDC = id
	w.offset.Add(int64(oidc.TokenLifetime))
	if r := w.userInfo(token); r.status != http.StatusUnauthorized {
		t.Errorf("after %v: %d", oidc.TokenLifetime, r.status)
	}
}

// TestOIDCStorageFailure checks that a failing store gives a 503 that says when to
// come back, and never a code or a token.
func TestOIDCStorageFailure(t *testing.T) {
	t.Parallel()
	var broken brokenStore
	w, client := newOIDCWorld(t, func(w *world) {
		broken.GrantRecorder, broken.GrantUpdater, broken.GrantReader = w.records, w.records, w.records
		w.breakOIDC = func(o *idp.OIDC, token *idp.Token, info *idp.UserInfo) {
			o.Recorder, token.Grants, info.Grants = &broken, &broken, &broken
		}
	})
	code := w.code(client)
	token := w.tokens(w.redeem(w.code(client))).AccessToken
	broken.fail = true
	for name, r := range map[string]reply{"authorize": w.authorize(client, ask()), "refusal": w.authorize(browser(nil), ask()), "token": w.redeem(code), "userinfo": w.userInfo(token)} {
		if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") != "5" || r.fields != nil || strings.Contains(r.body, "disk") {
			t.Errorf("%s: %d %v %s", name, r.status, r.header, r.body)
		}
	}
	broken.fail = false
	w.tokens(w.redeem(code)) // nothing was lost
}

var errDisk = errors.New("disk is full")

// brokenStore fails when it is told to.
type brokenStore struct {
	idp.GrantRecorder
	idp.GrantUpdater
	idp.GrantReader
	fail bool
}

func (b *brokenStore) Decide(ctx context.Context, d posture.Decision, until time.Time) error {
	if b.fail {
		return errDisk
	}
	return b.GrantRecorder.Decide(ctx, d, until)
}

func (b *brokenStore) DecideGrant(ctx context.Context, d posture.Decision, until time.Time, g posture.Grant) error {
	if b.fail {
		return errDisk
	}
	return b.GrantRecorder.DecideGrant(ctx, d, until, g)
}

func (b *brokenStore) UpdateGrant(ctx context.Context, id string, change func([]byte) ([]byte, error)) error {
	if b.fail {
		return errDisk
	}
	return b.GrantUpdater.UpdateGrant(ctx, id, change)
}

func (b *brokenStore) Grant(ctx context.Context, id string) (posture.Grant, error) {
	if b.fail {
		return posture.Grant{}, errDisk
	}
	return b.GrantReader.Grant(ctx, id)
}

func TestOIDCCachedDocuments(t *testing.T) {
	t.Parallel()
	w, _ := newOIDCWorld(t)
	before := w.keyring.Signing().ID
	next := must(w.keyring.Rotate(w.now(), true))(t)
	for _, endpoint := range []string{w.op.JWKSURL, w.op.Issuer + "/.well-known/openid-configuration"} {
		first := w.do(browser(nil), http.MethodGet, endpoint, nil)
		if first.status != 200 || first.header.Get("Cache-Control") != "public, max-age=300" || first.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v", endpoint, first.status, first.header)
		}
		again := w.do(browser(nil), http.MethodGet, endpoint, nil, "If-None-Match", first.header.Get("ETag"))
		if again.status != http.StatusNotModified || again.body != "" {
			t.Errorf("%s, unchanged: %d %s", endpoint, again.status, again.body)
		}
	}
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	r := w.do(browser(nil), http.MethodGet, w.op.JWKSURL, nil)
	if err := json.Unmarshal([]byte(r.body), &set); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.ID)
	}
	if !slices.Equal(ids, []string{before, next.ID}) || strings.Contains(r.body, `"d":`) {
		t.Errorf("key set %s", r.body)
	}
}
