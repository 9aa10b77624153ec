package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// opModule is a module of the OpenID Foundation's Basic OP plan. Where it is not
// applicable to Gatepost, the reason is the one in docs/oidc-conformance.md, and
// run shows what is answered instead.
type opModule struct {
	name          string
	run           func(*testing.T, *opSuite)
	notApplicable string
}

const (
	scopeUnknown = "The scope is not in `scopes_supported`: Gatepost knows users by their name only."
)

func basicOP() []opModule {
	return []opModule{
		{"oidcc-server", opServer, ""},
		{"oidcc-response-type-missing", opResponseTypeMissing, ""},
		{"oidcc-idtoken-signature", opIDTokenSignature, ""},
		{"oidcc-idtoken-unsigned", opIDTokenUnsigned, "`none` is not in `id_token_signing_alg_values_supported`."},
		{"oidcc-userinfo-get", opUserInfoGet, ""},
		{"oidcc-userinfo-post-header", opUserInfoPostHeader, ""},
		{"oidcc-userinfo-post-body", opUserInfoPostBody, ""},
		{"oidcc-ensure-request-without-nonce-succeeds-for-code-flow", opWithoutNonce, ""},
		{"oidcc-scope-profile", opScopeProfile, ""},
		{"oidcc-scope-email", opScopeEmail, ""},
		{"oidcc-scope-address", opScopeAddress, scopeUnknown},
		{"oidcc-scope-phone", opScopePhone, scopeUnknown},
		{"oidcc-scope-all", opScopeAll, "`address` and `phone` are not in `scopes_supported`."},
		{"oidcc-alternate-happy-flow", opAlternateHappyFlow, ""},
		{"oidcc-display-page", withParameter("display", "page"), ""},
		{"oidcc-display-popup", withParameter("display", "popup"), ""},
		{"oidcc-prompt-login", opPromptLogin, ""},
		{"oidcc-prompt-none-not-logged-in", opPromptNoneNotLoggedIn, ""},
		{"oidcc-prompt-none-logged-in", opPromptNoneLoggedIn, ""},
		{"oidcc-max-age-1", opMaxAge1, ""},
		{"oidcc-max-age-10000", opMaxAge10000, ""},
		{"oidcc-ensure-request-with-unknown-parameter-succeeds", withParameter("extra", "foobar"), ""},
		{"oidcc-id-token-hint", opIDTokenHint, ""},
		{"oidcc-login-hint", opLoginHint, ""},
		{"oidcc-ui-locales", withParameter("ui_locales", "se"), ""},
		{"oidcc-claims-locales", withParameter("claims_locales", "se"), ""},
		{"oidcc-ensure-request-with-acr-values-succeeds", opACRValues, ""},
		{"oidcc-codereuse", opCodeReuse, ""},
		{"oidcc-codereuse-30seconds", opCodeReuse30Seconds, ""},
		{"oidcc-ensure-registered-redirect-uri", opRegisteredRedirectURI, ""},
		{"oidcc-ensure-post-request-succeeds", opPostRequest, ""},
		{"oidcc-server-client-secret-post", opClientSecretPost, ""},
		{"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", opRequestURI, ""},
		{"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", opUnsignedObject,
			"`none` is not in `request_object_signing_alg_values_supported`."},
		{"oidcc-claims-essential", opClaimsEssential, ""},
		{"oidcc-ensure-request-object-with-redirect-uri", opObjectRedirectURI, ""},
		{"oidcc-refresh-token", opRefreshToken, "No refresh token is issued, and `refresh_token` is not in `grant_types_supported`."},
		{"oidcc-ensure-request-with-valid-pkce-succeeds", opValidPKCE, ""},
	}
}

// TestBasicOP runs every module of the plan against a server. The modules share
// it and its clock, which some of them move: they run one after the other.
func TestBasicOP(t *testing.T) {
	t.Parallel()
	s := newOPSuite(t)
	for _, m := range basicOP() {
		t.Run(m.name, func(t *testing.T) { m.run(t, s) })
	}
}

// No module of the plan is left out, nor is there any other.
func TestBasicOPIsWhole(t *testing.T) {
	t.Parallel()
	var want []string
	for line := range strings.Lines(string(readAll(t, "../../testdata/oidc-basic-op-modules.txt"))) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			want = append(want, line)
		}
	}
	if len(want) != 38 {
		t.Errorf("the plan has %d modules, want 38", len(want))
	}
	var have []string
	for _, m := range basicOP() {
		have = append(have, m.name)
		if m.run == nil {
			t.Errorf("%s is not run", m.name)
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("the modules are\n%q, the plan has\n%q", have, want)
	}
}

// docs/oidc-conformance.md says of every module what the table here says: passed,
// with the name of its test, or not applicable, with the reason and what is
// answered instead.
func TestBasicOPDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/oidc-conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| `oidcc-") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		name := strings.Trim(cells[0], "`")
		if len(cells) != 4 || documented[name] != nil {
			t.Errorf("%s has %d cells, or is there twice", name, len(cells))
			continue
		}
		documented[name] = cells
	}
	modules := basicOP()
	if len(documented) != len(modules) {
		t.Errorf("%d modules are documented, want %d", len(documented), len(modules))
	}
	for _, m := range modules {
		cells := documented[m.name]
		want := []string{"`" + m.name + "`", "passed", "`TestBasicOP/" + m.name + "`"}
		if m.notApplicable != "" {
			want = []string{"`" + m.name + "`", "not applicable", m.notApplicable}
		}
		switch {
		case len(cells) == 0:
			t.Errorf("%s is not documented", m.name)
		case !slices.Equal(cells[:3], want):
			t.Errorf("documented is %q, want %q", cells[:3], want)
		case m.notApplicable != "" && cells[3] == "":
			t.Errorf("of %s it is not said what is answered instead", m.name)
		}
	}
}
