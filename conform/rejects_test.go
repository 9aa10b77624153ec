package conform

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

func encode(doc string) string { return base64.StdEncoding.EncodeToString([]byte(doc)) }

// spoil makes an answer, signed both, with one edit before the signatures.
func spoil(edit func(root *etree.Element)) response {
	p := signedBoth()
	p.edit = edit
	return p
}

// tamper makes an answer with one edit behind the signatures.
func tamper(after func(root *etree.Element)) response {
	p := signedBoth()
	p.after = after
	return p
}

// set changes an attribute of the element at path.
func set(name, value string, path ...string) func(*etree.Element) {
	return func(r *etree.Element) { at(r, path...).SelectAttr(name).Value = value }
}

// say changes the text of the element at path.
func say(value string, path ...string) func(*etree.Element) {
	return func(r *etree.Element) { at(r, path...).SetText(value) }
}

func drop(path ...string) func(*etree.Element) {
	return func(r *etree.Element) { el := at(r, path...); el.Parent().RemoveChild(el) }
}

func again(path ...string) func(*etree.Element) {
	return func(r *etree.Element) { el := at(r, path...); el.Parent().InsertChildAt(el.Index(), el.Copy()) }
}

// algorithm changes an Algorithm inside of the assertion's signature.
func algorithm(value string, path ...string) func(*etree.Element) {
	return set("Algorithm", value, append([]string{"Assertion", "Signature", "SignedInfo"}, path...)...)
}

const (
	audienceText = `The Identity Provider specified Conditions, but did not designate us as the target for these conditions. Found "https://other.example", expected "https://www.okta.com/saml2/service-provider/spqunojxmhwsxjdesder"`
	noAudience   = `The Identity Provider specified Conditions, but did not designate us as the target for these conditions. Found "", expected "https://www.okta.com/saml2/service-provider/spqunojxmhwsxjdesder"`
)

func mutations() map[string]struct {
	answer response
	rule   string
	text   string // "": the one of all that have no own
} {
	future, past := stamp(time.Now().Add(time.Minute)), stamp(time.Now().Add(-time.Second))
	posture := []string{"Assertion", "AuthnStatement", "AuthnContext", "AuthnContextDecl", "AuthenticationContextDeclaration", "Extension", "Device"}
	fact := append(append([]string{}, posture...), "Posture", "Fact")
	data := []string{"Assertion", "Subject", "SubjectConfirmation", "SubjectConfirmationData"}
	return map[string]struct {
		answer response
		rule   string
		text   string
	}{
		"version":              {spoil(set("Version", "2.1")), "response", ""},
		"no ID":                {response{key: idpKeys(), signAssertion: true, edit: func(r *etree.Element) { r.RemoveAttr("ID") }}, "response", ""},
		"another root":         {response{key: idpKeys(), signAssertion: true, edit: func(r *etree.Element) { r.Tag = "Request" }}, "response", ""},
		"same IDs":             {spoil(func(r *etree.Element) { r.SelectAttr("ID").Value = at(r, "Assertion").SelectAttrValue("ID", "") }), "well-formed", ""},
		"issuer":               {spoil(say("https://evil.example", "Issuer")), "response-issuer", textIssuer},
		"issuer with a slash":  {spoil(say(testIssuer+"/", "Issuer")), "response-issuer", textIssuer},
		"no response issuer":   {response{key: idpKeys(), signAssertion: true, edit: drop("Issuer")}, "response-issuer", textIssuer},
		"two response issuers": {spoil(again("Issuer")), "response-issuer", textIssuer},
		"assertion issuer":     {spoil(say("https://evil.example", "Assertion", "Issuer")), "assertion-issuer", textIssuer},
		"no assertion issuer":  {response{key: idpKeys(), signResponse: true, edit: drop("Assertion", "Issuer")}, "assertion-issuer", textIssuer},
		"issuer format":        {spoil(func(r *etree.Element) { at(r, "Issuer").CreateAttr("Format", "urn:x") }), "response-issuer", textIssuer},
		"issuer cut by comment": {spoil(func(r *etree.Element) {
			at(r, "Issuer").AddChild(etree.NewComment("x"))
			at(r, "Issuer").CreateText(".evil")
		}),
			"response-issuer", textIssuer},

		"unsigned":                      {response{}, "signature-scope", ""},
		"wrong key":                     {response{signResponse: true, signAssertion: true, key: otherKeys()}, "response-signature", ""},
		"wrong key, assertion only":     {response{signAssertion: true, key: otherKeys()}, "assertion-signature", ""},
		"tampered response":             {tamper(set("InResponseTo", "id1")), "response-signature", ""},
		"tampered assertion":            {tamper(say("admin@example.com", "Assertion", "Subject", "NameID")), "response-signature", ""},
		"tampered, assertion only":      {response{signAssertion: true, key: idpKeys(), after: set("Value", "false", fact...)}, "assertion-signature", ""},
		"tampered between signatures":   {response{signResponse: true, signAssertion: true, key: idpKeys(), inner: set("Value", "false", fact...)}, "assertion-signature", ""},
		"signature twice":               {tamper(again("Signature")), "response-signature", ""},
		"assertion's signature twice":   {response{signAssertion: true, key: idpKeys(), after: again("Assertion", "Signature")}, "assertion-signature", ""},
		"signature at the end":          {tamper(func(r *etree.Element) { s := at(r, "Signature"); r.RemoveChild(s); r.AddChild(s) }), "response-signature", ""},
		"assertion's signature wrapped": {response{signAssertion: true, key: idpKeys(), after: wrapped}, "response-signature", ""},
		"SHA-1 signature":               {response{signAssertion: true, key: idpKeys(), after: algorithm(dsig.RSASHA1SignatureMethod, "SignatureMethod")}, "assertion-signature", ""},
		"HMAC": {response{signAssertion: true, key: idpKeys(), after: algorithm("http://www.w3.org/2000/09/xmldsig#hmac-sha1", "SignatureMethod")},
			"assertion-signature", ""},
		"SHA-1 digest":       {response{signAssertion: true, key: idpKeys(), after: algorithm(nsSignature+"sha1", "Reference", "DigestMethod")}, "assertion-signature", ""},
		"inclusive c14n":     {response{signAssertion: true, key: idpKeys(), after: algorithm("http://www.w3.org/TR/2001/REC-xml-c14n-20010315", "CanonicalizationMethod")}, "assertion-signature", ""},
		"another transform":  {response{signAssertion: true, key: idpKeys(), after: again("Assertion", "Signature", "SignedInfo", "Reference", "Transforms", "Transform")}, "assertion-signature", ""},
		"two references":     {response{signAssertion: true, key: idpKeys(), after: again("Assertion", "Signature", "SignedInfo", "Reference")}, "assertion-signature", ""},
		"empty reference":    {response{signAssertion: true, key: idpKeys(), after: set("URI", "", "Assertion", "Signature", "SignedInfo", "Reference")}, "assertion-signature", ""},
		"object in it":       {response{signAssertion: true, key: idpKeys(), after: func(r *etree.Element) { at(r, "Assertion", "Signature").CreateElement("ds:Object") }}, "assertion-signature", ""},
		"signature in Fact":  {response{signAssertion: true, key: idpKeys(), after: func(r *etree.Element) { at(r, fact...).AddChild(at(r, "Assertion", "Signature").Copy()) }}, "response-signature", ""},
		"signature no child": {response{signAssertion: true, key: idpKeys(), after: drop("Assertion", "Signature", "SignedInfo")}, "assertion-signature", ""},

		"status unknown":       {spoil(set("Value", statusPrefix+"AuthnFailed", "Status", "StatusCode")), "status", ""},
		"no status":            {spoil(drop("Status")), "status", ""},
		"failure unsigned":     {response{edit: fail}, "failure-signed", ""},
		"failure wrong key":    {response{edit: fail, signResponse: true, key: otherKeys()}, "response-signature", ""},
		"failure + assertion":  {spoil(set("Value", statusPrefix+"Responder", "Status", "StatusCode")), "failure-alone", ""},
		"destination":          {spoil(set("Destination", testACS+"/")), "destination", ""},
		"no destination":       {spoil(func(r *etree.Element) { r.RemoveAttr("Destination") }), "destination", ""},
		"issued in the future": {spoil(set("IssueInstant", future)), "response-instant", ""},
		"not in UTC":           {spoil(set("IssueInstant", "2026-11-22T16:00:00+01:00")), "response-instant", ""},
		"assertion of future":  {spoil(set("IssueInstant", future, "Assertion")), "assertion-instant", ""},

		"no assertion":           {spoil(drop("Assertion")), "assertion", ""},
		"two assertions":         {spoil(func(r *etree.Element) { again("Assertion")(r); at(r, "Assertion").SelectAttr("ID").Value = "_b" }), "assertion", ""},
		"assertion without ID":   {response{key: idpKeys(), signResponse: true, edit: func(r *etree.Element) { at(r, "Assertion").RemoveAttr("ID") }}, "assertion", ""},
		"response unanswered":    {spoil(set("InResponseTo", "id1")), "in-response-to", "Unable to validate SAML Response [_r] - 'InResponseTo=id1' does not match the ID of a SAML authentication request sent from Okta"},
		"confirmation of others": {spoil(set("InResponseTo", "id1", data...)), "in-response-to", "Unable to validate SAML Response [_r] - 'InResponseTo={request}' does not match the ID of a SAML authentication request sent from Okta"},

		"another user":         {spoil(say("User@example.com", "Assertion", "Subject", "NameID")), "name-id", ""},
		"padded user":          {spoil(say("\nuser@example.com\n", "Assertion", "Subject", "NameID")), "name-id", ""},
		"two users":            {spoil(again("Assertion", "Subject", "NameID")), "name-id", ""},
		"no user":              {spoil(drop("Assertion", "Subject", "NameID")), "name-id", ""},
		"holder of key":        {spoil(set("Method", "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key", data[:3]...)), "confirmation", ""},
		"recipient":            {spoil(set("Recipient", "https://other.example", data...)), "confirmation", ""},
		"confirmation ended":   {spoil(set("NotOnOrAfter", past, data...)), "confirmation", ""},
		"confirmation begins":  {spoil(func(r *etree.Element) { at(r, data...).CreateAttr("NotBefore", past) }), "confirmation", ""},
		"no end":               {spoil(func(r *etree.Element) { at(r, data...).RemoveAttr("NotOnOrAfter") }), "confirmation", ""},
		"conditions ended":     {spoil(set("NotOnOrAfter", past, "Assertion", "Conditions")), "conditions", ""},
		"conditions not begun": {spoil(set("NotBefore", future, "Assertion", "Conditions")), "conditions", ""},
		"no conditions":        {spoil(drop("Assertion", "Conditions")), "conditions", ""},
		"audience":             {spoil(say("https://other.example", "Assertion", "Conditions", "AudienceRestriction", "Audience")), "audience", audienceText},
		"no audience":          {spoil(drop("Assertion", "Conditions", "AudienceRestriction")), "audience", noAudience},

		"managed unsaid": {spoil(drop(fact...)), "posture", ""},
		"managed True":   {spoil(set("Value", "True", fact...)), "posture", ""},
		"two devices":    {spoil(again(posture...)), "posture", ""},
		"no device":      {spoil(drop(posture...)), "posture", ""},
		"another class":  {spoil(say("urn:oasis:names:tc:SAML:2.0:ac:classes:X509", "Assertion", "AuthnStatement", "AuthnContext", "AuthnContextClassRef")), "posture", ""},
		"schema":         {spoil(func(r *etree.Element) { at(r, posture...).CreateAttr("Serial", "x") }), "posture", ""},

		"other ciphertext":  {response{signResponse: true, key: idpKeys(), encrypt: nsEncrypt11 + "aes256-gcm", inner: cipherText("AAAA")}, "assertion", ""},
		"short ciphertext":  {response{signResponse: true, key: idpKeys(), encrypt: nsEncrypt11 + "aes128-gcm", inner: cipherText("AA==")}, "assertion", ""},
		"short CBC":         {response{signResponse: true, key: idpKeys(), encrypt: nsEncrypt + "aes128-cbc", inner: cipherText("AA==")}, "assertion", ""},
		"cipher not known":  {response{signResponse: true, key: idpKeys(), encrypt: nsEncrypt + "aes128-cbc", inner: set("Algorithm", nsEncrypt+"tripledes-cbc", "EncryptedAssertion", "EncryptedData", "EncryptionMethod")}, "assertion", ""},
		"sealed not signed": {response{encrypt: nsEncrypt11 + "aes256-gcm"}, "signature-scope", ""},
	}
}

func cipherText(value string) func(*etree.Element) {
	return say(value, "EncryptedAssertion", "EncryptedData", "CipherData", "CipherValue")
}

// wrapped hides the signed assertion in the Extensions of the Response and puts
// a forged one in its place.
func wrapped(root *etree.Element) {
	real := at(root, "Assertion")
	forged := real.Copy()
	forged.SelectAttr("ID").Value = "_forged"
	forged.RemoveChild(forged.SelectElement("Signature"))
	say("admin@example.com", "Subject", "NameID")(forged)
	ext := etree.NewElement("samlp:Extensions")
	root.InsertChildAt(real.Index(), forged)
	root.RemoveChild(real)
	root.InsertChildAt(at(root, "Status").Index(), ext)
	ext.AddChild(real)
}

func TestReceiveRejects(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{"second-opinion": true} // see TestSecondOpinionRefuses
	for name, c := range mutations() {
		tested[c.rule] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newTestOkta(t, nil)
			req := request(t, o, nil)
			if !strings.Contains("well-formed response", c.rule) && c.answer.edit != nil {
				edit := c.answer.edit
				c.answer.edit = func(r *etree.Element) { r.SelectAttr("ID").Value = "_r"; edit(r) }
			}
			_, err := o.Receive(c.answer.answerTo(t, o, req.ID), "https://acme.okta.example/app/UserHome")
			wantRejection(t, err, c.rule, strings.ReplaceAll(c.text, "{request}", req.ID))
			// A refusal costs nothing: the genuine answer is still welcome.
			if _, err := o.Receive(signedBoth().answerTo(t, o, req.ID), "https://acme.okta.example/app/UserHome"); err != nil {
				t.Errorf("the good answer afterwards: %v", err)
			}
		})
	}
	for _, r := range [...]string{"relay-state", "app-context", "replay"} { // the tests of these names
		tested[r] = true
	}
	for _, rules := range [][]*rule{messageRules, assertionRules, failureRules} {
		for _, r := range rules {
			if !tested[r.id] {
				t.Errorf("rule %s has no failing vector", r.id)
			}
			if r.citation == "" || r.text == "" {
				t.Errorf("rule with a hole: %+v", r)
			}
		}
	}
}

func wantRejection(t *testing.T, err error, rule, text string) {
	t.Helper()
	if text == "" {
		text = "Unable to validate incoming SAML Assertion."
	}
	r, ok := errors.AsType[*Rejection](err)
	if !ok {
		t.Fatalf("got %v, want a rejection by %s", err, rule)
	}
	if r.Rule != rule || r.Text != text {
		t.Errorf("got %s: %q (%v)\nwant %s: %q", r.Rule, r.Text, r.Cause, rule, text)
	}
}

func TestReceiveRejectsBytes(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	good := string(signedBoth().xmlTo(t, o, request(t, o, nil).ID))
	for name, posted := range map[string]string{
		"nothing":     "",
		"no base64":   "<Response/>",
		"no XML":      encode("hello"),
		"doctype":     encode("<!DOCTYPE x>" + good[strings.Index(good, "<samlp:"):]),
		"two roots":   encode(good + "<x/>"),
		"instruction": encode(strings.Replace(good, "<samlp:Status>", "<?x y?><samlp:Status>", 1)),
		"cut off":     encode(good[:len(good)-20]),
		"too large":   encode(strings.Repeat(" ", maxResponse) + good),
		"deep":        encode(strings.Repeat("<a>", 5000) + strings.Repeat("</a>", 5000)),
	} {
		_, err := o.Receive(posted, "https://acme.okta.example/app/UserHome")
		t.Run(name, func(t *testing.T) { wantRejection(t, err, "well-formed", "") })
	}
}

func TestReceiveRelayState(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	for _, p := range []response{signedBoth(), {signResponse: true, key: idpKeys(), edit: fail}} {
		_, err := o.Receive(p.answerTo(t, o, request(t, o, nil).ID), "https://acme.okta.example/app/Other")
		wantRejection(t, err, "relay-state", "")
	}
}

func TestReceiveAppContext(t *testing.T) {
	t.Parallel()
	const text = "The AppContext response from the Identity Provider is invalid"
	app := &AppContext{InstanceID: "0oa1", Name: "Wiki "}
	for name, got := range map[string]*AppContext{
		"missing": nil, "trimmed": {"0oa1", "Wiki"}, "other case": {"0OA1", "Wiki "}, "empty": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newTestOkta(t, func(c *OktaConfig) { c.SendAppContext = app })
			p := signedBoth()
			p.app = got
			_, err := o.Receive(p.answerTo(t, o, request(t, o, nil).ID), "https://acme.okta.example/app/UserHome")
			wantRejection(t, err, "app-context", text)
		})
	}
}

func TestReceiveScope(t *testing.T) {
	t.Parallel()
	for scope, p := range map[Scope]response{
		ScopeResponse: {signAssertion: true, key: idpKeys()},
		ScopeToken:    {signResponse: true, key: idpKeys()},
	} {
		o := newTestOkta(t, func(c *OktaConfig) { c.Signature = scope })
		_, err := o.Receive(p.answerTo(t, o, request(t, o, nil).ID), "https://acme.okta.example/app/UserHome")
		wantRejection(t, err, "signature-scope", "")
	}
}

// The leeway is Okta's clock skew: none by default, and no more than configured.
func TestReceiveClockSkew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		skew, clock time.Duration
		rule        string
	}{
		{0, -2 * time.Second, "response-instant"},
		{time.Minute, -2 * time.Second, ""},
		{time.Minute, -2 * time.Minute, "response-instant"},
		{0, 5 * time.Minute, "confirmation"},
		{time.Minute, 5 * time.Minute, ""},
		{time.Minute, 7 * time.Minute, "confirmation"},
	} {
		okta := newTestOkta(t, func(cfg *OktaConfig) { cfg.ClockSkew = c.skew })
		posted := signedBoth().answerTo(t, okta, request(t, okta, nil).ID)
		late := time.Now().Add(c.clock)
		okta.cfg.Now = func() time.Time { return late }
		_, err := okta.Receive(posted, "https://acme.okta.example/app/UserHome")
		if c.rule == "" && err != nil {
			t.Errorf("skew %v, clock %v: %v", c.skew, c.clock, err)
		}
		if c.rule != "" {
			wantRejection(t, err, c.rule, "")
		}
	}
}

// TestSecondOpinionRefuses: what crewjam/saml alone refuses is refused. It
// reads the certificate of KeyInfo, which nothing else here does.
func TestSecondOpinionRefuses(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	p := response{signAssertion: true, key: idpKeys(), after: func(r *etree.Element) {
		at(r, "Assertion", "Signature", "KeyInfo", "X509Data", "X509Certificate").SetText(base64.StdEncoding.EncodeToString(otherKeys().cert.Raw))
	}}
	_, err := o.Receive(p.answerTo(t, o, request(t, o, nil).ID), "https://acme.okta.example/app/UserHome")
	wantRejection(t, err, "second-opinion", "")
}
