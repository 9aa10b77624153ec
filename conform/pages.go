package conform

import (
	"html/template"

	"gatepost.dev/contract"
)

// startPage has what can be started; nil: not served here.
type startPage struct {
	SAML *samlStart
	OIDC *oidcStart
}

type samlStart struct{ EntityID, Issuer, Metadata string }

type errorPage struct{ Text, Reference string }

// verdict is what Okta made of an answer.
type verdict struct {
	Outcome string // signed-in, failed or rejected
	Title   string

	User, Managed, Compliant string
	Error, Why               string // of a rejection: Okta's text, and the rule and cause; of a failure: its status
}

// resultPage is a verdict on an answer by SAML, with what the answer says.
type resultPage struct {
	verdict

	Device       contract.Device
	Facts        []contract.Fact
	Attestations []contract.Attestation
	App          AppContext
	Encrypted    bool
	Seconded     bool
	Response     string
}

// The outcomes.
const (
	signedIn = "signed-in"
	failed   = "failed"
	rejected = "rejected"
)

const (
	titleSignedIn = "Okta knows this device"
	titleFailed   = "The provider does not vouch for this device"
)

func (r *Rejection) verdict() verdict {
	return verdict{
		Outcome: rejected, Title: "Okta rejects this answer",
		Error: r.Text, Why: r.Rule + ": " + r.Cause.Error(),
	}
}

func acceptedPage(s *SignIn) resultPage {
	p := resultPage{
		verdict: verdict{Outcome: signedIn, Title: titleSignedIn, User: s.Subject, Managed: yesNo(s.Managed), Compliant: "not said"},
		Device:  s.Device, Facts: s.Facts, Attestations: s.Attestations, App: s.AppContext,
		Encrypted: s.Encrypted, Seconded: s.Seconded, Response: string(s.Response),
	}
	for _, f := range s.Facts {
		if f.Name == contract.FactCompliant {
			p.Compliant = yesNo(s.Compliant)
		}
	}
	if !s.OK() {
		p.Outcome, p.Title = failed, titleFailed
		p.Managed, p.Compliant = "", ""
		p.Error, p.Why = s.StatusMessage, s.Status+" / "+s.SubStatus
		if s.StatusDetail != "" {
			p.Why += ": " + s.StatusDetail
		}
	}
	return p
}

func yesNo(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

const style = template.CSS(`
body { max-width: 48rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; }
h1 { font-size: 1.5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
fieldset { margin: 1rem 0; border: 1px solid #767676; }
label { display: block; margin: .5rem 0 .25rem; }
input, select, button { font: inherit; padding: .35rem .5rem; }
input { width: 100%; box-sizing: border-box; }
button { margin-top: 1rem; }
pre { padding: 1rem; overflow-x: auto; background: #f3f3f3; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #c8c8c8; overflow-wrap: anywhere; }
:focus-visible { outline: 3px solid #0b57d0; outline-offset: 2px; }
@media (prefers-color-scheme: dark) {
  body { color: #ededed; background: #161616; }
  a { color: #9ec5ff; }
  pre { background: #262626; }
}`)

// pages has everything that a browser is shown. Values are escaped by
// html/template; nothing of an answer is ever written as markup.
var pages = template.Must(template.Must(template.New("").Parse(oidcPages)).Parse(`
{{define "head"}}<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style nonce="{{.Nonce}}">{{.Style}}</style>
{{end}}

{{define "start"}}{{template "head" .}}<title>Simulated Okta</title>
</head>
<body>
<main>
<h1>Simulated Okta</h1>
<p>This plays the part of an Okta org that asks a device posture provider about the device in front of it. It signs nobody in to anything.</p>
{{with .Page.SAML}}<h2>SAML 2.0</h2>
<dl>
<dt>Service provider</dt><dd>{{.EntityID}}</dd>
<dt>Identity provider</dt><dd>{{.Issuer}}</dd>
<dt>Metadata</dt><dd><a href="{{.Metadata}}">{{.Metadata}}</a></dd>
</dl>
<form action="/login" method="get">
<fieldset>
<legend>Sign in by SAML</legend>
<label for="user">User</label>
<input id="user" name="user" value="user@example.com" autocomplete="off" spellcheck="false">
<label for="app">Application (its context is sent and must come back; may be empty)</label>
<input id="app" name="app" autocomplete="off">
<label for="binding">Binding of the request</label>
<select id="binding" name="binding">
<option value="redirect">HTTP-Redirect</option>
<option value="post">HTTP-POST</option>
</select>
<div><button id="sign-in">Sign in</button></div>
</fieldset>
</form>
<p>Or at once, as user@example.com: <a id="login-redirect" href="/login?binding=redirect&amp;user=user%40example.com">by HTTP-Redirect</a>,
<a id="login-post" href="/login?binding=post&amp;user=user%40example.com">by HTTP-POST</a>.</p>{{end}}
{{with .Page.OIDC}}{{template "start-oidc" .}}{{end}}
</main>
</body>
</html>
{{end}}

{{define "post"}}{{template "head" .}}<title>Going to the identity provider</title>
</head>
<body>
<main>
<h1>Going to the identity provider</h1>
<form id="request" method="post" action="{{.Page.Action}}">
<input type="hidden" name="SAMLRequest" value="{{.Page.SAMLRequest}}">
{{with .Page.RelayState}}<input type="hidden" name="RelayState" value="{{.}}">{{end}}
<p>If nothing happens, go on by hand.</p>
<button>Continue</button>
</form>
</main>
<script nonce="{{.Nonce}}">document.getElementById("request").submit();</script>
</body>
</html>
{{end}}

{{define "outcome"}}<dl id="result">
<dt>Outcome</dt><dd id="result-outcome">{{.Outcome}}</dd>
<dt>User</dt><dd id="result-user">{{.User}}</dd>
<dt>Managed</dt><dd id="result-managed">{{.Managed}}</dd>
<dt>Compliant</dt><dd id="result-compliant">{{.Compliant}}</dd>
<dt>Error</dt><dd id="result-error">{{.Error}}</dd>
<dt>Why</dt><dd id="result-why">{{.Why}}</dd>
</dl>{{end}}

{{define "result"}}{{template "head" .}}<title>{{.Page.Title}}</title>
</head>
<body>
<main>
<h1>{{.Page.Title}}</h1>
{{template "outcome" .Page}}
{{if eq .Page.Outcome "signed-in"}}
<h2>The device</h2>
<dl>
<dt>ID</dt><dd>{{.Page.Device.ID}}</dd>
<dt>Vendor</dt><dd>{{.Page.Device.Vendor}}</dd>
<dt>Model</dt><dd>{{.Page.Device.Model}}</dd>
<dt>OS</dt><dd>{{.Page.Device.OS}} {{.Page.Device.OSVersion}}</dd>
{{with .Page.App.Name}}<dt>Application</dt><dd>{{.}} ({{$.Page.App.InstanceID}})</dd>{{end}}
<dt>Encrypted</dt><dd>{{if .Page.Encrypted}}yes{{else}}no{{end}}</dd>
<dt>crewjam/saml</dt><dd>{{if .Page.Seconded}}agrees{{else}}was not asked{{end}}</dd>
</dl>
<table>
<caption>Facts</caption>
<thead><tr><th scope="col">Name</th><th scope="col">Value</th></tr></thead>
<tbody>{{range .Page.Facts}}<tr><td>{{.Name}}</td><td>{{.Value}}</td></tr>{{end}}</tbody>
</table>
{{if .Page.Attestations}}<table>
<caption>Attestations</caption>
<thead><tr><th scope="col">Type</th><th scope="col">Value</th></tr></thead>
<tbody>{{range .Page.Attestations}}<tr><td>{{.Type}}</td><td>{{.Value}}</td></tr>{{end}}</tbody>
</table>{{end}}
{{end}}
{{with .Page.Response}}<h2>The answer as posted</h2>
<pre id="response">{{.}}</pre>{{end}}
<p><a href="/">Start again</a></p>
</main>
</body>
</html>
{{end}}

{{define "error"}}{{template "head" .}}<title>That did not work</title>
</head>
<body>
<main>
<h1>That did not work</h1>
<p>{{.Page.Text}}</p>
<p>Reference: {{.Page.Reference}}</p>
<p><a href="/">Start again</a></p>
</main>
</body>
</html>
{{end}}
`))
