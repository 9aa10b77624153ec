package conform

import (
	"encoding/base64"
	"time"

	"github.com/beevik/etree"
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
		"HMAC": {response{signAssertion: true, key: idpKeys(), after: algorithm("http://www.w3.org/2000/09/xmldsig#hmac-sha1", "SignatureMethod")},
			"assertion-signature", ""},
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
