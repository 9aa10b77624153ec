package conform

import (
	"bytes"
	"encoding/json"
	"strings"

	"gatepost.dev/contract"
)

type oidcStart struct{ ClientID, Issuer, RedirectURI, Keys string }

// oidcPage is a verdict on an answer by OpenID Connect, with what it says.
type oidcPage struct {
	verdict

	ExternalID string
	ACR, AMR   string
	App        AppContext
	Findings   []contract.Finding
	Header     string // JSON, laid out
	Claims     string
	UserInfo   string
}

func oidcAccepted(s *OIDCSignIn) oidcPage {
	if !s.OK() {
		p := oidcPage{verdict: verdict{Outcome: failed, Title: titleFailed, Error: s.ErrorDescription, Why: s.Error}}
		if p.Error == "" {
			p.Error = s.Error
		}
		return p
	}
	return oidcPage{
		verdict: verdict{
			Outcome: signedIn, Title: titleSignedIn,
			User: s.Subject, Managed: yesNo(s.Managed), Compliant: yesNo(s.Compliant),
		},
		ExternalID: s.ExternalID, ACR: s.ACR, AMR: strings.Join(s.AMR, " "), App: s.AppContext, Findings: s.Findings,
		Header: indented(s.Header), Claims: indented(s.Claims), UserInfo: indented(s.UserInfo),
	}
}

// indented lays JSON out for people.
func indented(doc []byte) string {
	var b bytes.Buffer
	if err := json.Indent(&b, doc, "", "  "); err != nil {
		return string(doc)
	}
	return b.String()
}

const oidcPages = `
{{define "start-oidc"}}<h2>OpenID Connect</h2>
<dl>
<dt>Client</dt><dd>{{.ClientID}}</dd>
<dt>Identity provider</dt><dd>{{.Issuer}}</dd>
<dt>Redirect URI</dt><dd>{{.RedirectURI}}</dd>
<dt>Keys</dt><dd><a href="{{.Keys}}">{{.Keys}}</a></dd>
</dl>
<form action="/oidc/login" method="get">
<fieldset>
<legend>Sign in by OpenID Connect</legend>
<label for="oidc-user">User (sent as login_hint; may be empty)</label>
<input id="oidc-user" name="user" value="user@example.com" autocomplete="off" spellcheck="false">
<label for="oidc-app">Application (its context is sent and must come back; may be empty)</label>
<input id="oidc-app" name="app" autocomplete="off">
<div><button id="oidc-sign-in">Sign in</button></div>
</fieldset>
</form>
<p>Or at once, as user@example.com: <a id="login-oidc" href="/oidc/login?user=user%40example.com">by OpenID Connect</a>.</p>
{{end}}

{{define "oidc-result"}}{{template "head" .}}<title>{{.Page.Title}}</title>
</head>
<body>
<main>
<h1>{{.Page.Title}}</h1>
{{template "outcome" .Page}}
{{if eq .Page.Outcome "signed-in"}}
<h2>The device</h2>
<dl>
<dt>External ID</dt><dd id="external-id">{{.Page.ExternalID}}</dd>
<dt>acr</dt><dd>{{.Page.ACR}}</dd>
<dt>amr</dt><dd>{{.Page.AMR}}</dd>
{{with .Page.App.Name}}<dt>Application</dt><dd>{{.}} ({{$.Page.App.InstanceID}})</dd>{{end}}
</dl>
{{if .Page.Findings}}<h2>What the provider should do better</h2>
<ul id="findings">{{range .Page.Findings}}<li>{{.}}</li>{{end}}</ul>{{end}}
<h2>The ID token</h2>
<pre id="id-token-header">{{.Page.Header}}</pre>
<pre id="id-token">{{.Page.Claims}}</pre>
{{with .Page.UserInfo}}<h2>UserInfo</h2>
<pre id="userinfo">{{.}}</pre>{{end}}
{{end}}
<p><a href="/">Start again</a></p>
</main>
</body>
</html>
{{end}}
`
