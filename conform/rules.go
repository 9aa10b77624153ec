package conform

import (
	"errors"
	"fmt"
	"slices"

	"gatepost.dev/contract"
)

// rule is one thing that Okta, or SAML where Okta's behaviour is not published,
// demands of an answer.
type rule struct {
	id       string
	citation string
	text     string // Okta's error text; in braces what is filled in
	check    func(*answer) error
}

// Okta's error texts. The first stands for everything that has none of its own.
const (
	textAssertion    = "Unable to validate incoming SAML Assertion."
	textIssuer       = "The Issuer in the SAML response did not match the Issuer configured for the Identity Provider."
	textAudience     = `The Identity Provider specified Conditions, but did not designate us as the target for these conditions. Found "{found}", expected "{expected}"`
	textInResponseTo = "Unable to validate SAML Response [{response}] - 'InResponseTo={inResponseTo}' does not match the ID of a SAML authentication request sent from Okta"
	textReplay       = "A SAML Assertion with the same ID [{assertion}] has already been processed"
	textAppContext   = "The AppContext response from the Identity Provider is invalid"
)

// messageRules hold for every Response. The signature comes first that can:
// what is read after it is what was signed.
var messageRules = []*rule{
	{"well-formed", "SAML bindings 3.5.4; XML 1.0", textAssertion, decode},
	{"response", "SAML core 3.2.2", textAssertion, checkResponse},
	{"response-issuer", "Okta: Issuer of the Response equals the IdP Issuer URI; SAML profiles 4.1.4.2", textIssuer,
		func(a *answer) error { return checkIssuer(a, a.root) }},
	{"response-signature", "Okta: one signature right after Issuer, RSA-SHA256 or stronger, exclusive c14n; SAML core 5.4", textAssertion, checkResponseSignature},
	{"status", "SAML core 3.2.2.2", textAssertion, readStatus},
	{"destination", "SAML core 3.2.2; SAML bindings 3.5.5.2", textAssertion, checkDestination},
	{"response-instant", "Okta: maximum clock skew; SAML core 3.2.2", textAssertion,
		func(a *answer) error { return checkIssueInstant(a, a.root) }},
}

// assertionRules hold for a Success.
var assertionRules = []*rule{
	{"assertion", "SAML profiles 4.1.4.2", textAssertion, findAssertion},
	{"assertion-issuer", "Okta: Issuer of the Assertion equals the IdP Issuer URI; SAML profiles 4.1.4.2", textIssuer,
		func(a *answer) error { return checkIssuer(a, a.clear) }},
	{"assertion-signature", "Okta: one signature right after Issuer, RSA-SHA256 or stronger, exclusive c14n; SAML core 5.4", textAssertion, checkAssertionSignature},
	{"signature-scope", "Okta: response signature verification, RESPONSE, TOKEN or ANY", textAssertion, checkScope},
	&ruleReplay,
	&ruleInResponseTo,
	{"relay-state", "SAML bindings 3.5.3", textAssertion, checkRelayState},
	{"assertion-instant", "Okta: maximum clock skew; SAML core 2.3.3", textAssertion,
		func(a *answer) error { return checkIssueInstant(a, a.assertion) }},
	{"name-id", "Okta device posture data contract: NameID is the user's of the request; SAML core 3.4.1.4", textAssertion, checkNameID},
	{"confirmation", "SAML profiles 4.1.4.2 and 4.1.4.3", textAssertion, checkConfirmation},
	{"conditions", "Okta: maximum clock skew; SAML core 2.5.1.2", textAssertion, checkConditions},
	{"audience", "Okta: Audience equals the SP entity ID; SAML core 2.5.1.4", textAudience, checkAudience},
	{"app-context", "Okta: Send Okta application context", textAppContext, checkAppContext},
	{"context", "SAML core 2.7.2.2 and 3.3.2.2.1", textAssertion, checkContext},
	{"posture", "Okta device posture data contract", textAssertion, checkPosture},
	{"second-opinion", "crewjam/saml ServiceProvider.ParseXMLResponse", textAssertion, second},
}

// failureRules hold for every other status.
var failureRules = []*rule{
	{"failure-signed", "Okta: response signature verification; SAML core 5.4", textAssertion, checkFailureSigned},
	{"failure-alone", "SAML profiles 4.1.4.2", textAssertion, checkFailureAlone},
	&ruleInResponseTo,
	{"relay-state", "SAML bindings 3.5.3", textAssertion, checkRelayState},
}

var (
	ruleReplay       = rule{"replay", "Okta: each assertion ID once", textReplay, checkReplay}
	ruleInResponseTo = rule{"in-response-to", "Okta: InResponseTo is a request sent and not answered; SAML profiles 4.1.4.2 and 4.1.4.3", textInResponseTo, checkInResponseTo}
)

func checkResponse(a *answer) error {
	if a.root.Tag != "Response" || a.root.NamespaceURI() != nsProtocol {
		return fmt.Errorf("the root is %q in %q", a.root.Tag, a.root.NamespaceURI())
	}
	a.signIn.ResponseID = attr(a.root, "ID")
	if a.signIn.ResponseID == "" || attr(a.root, "Version") != "2.0" {
		return fmt.Errorf("the Response has ID %q and Version %q", a.signIn.ResponseID, attr(a.root, "Version"))
	}
	return nil
}

func checkResponseSignature(a *answer) error {
	expected := countSignatures(a.root)
	good, err := verify(a.root, a.o.cfg.Certificates, a.now)
	if err != nil {
		return err
	}
	if good != nil {
		a.root, a.rootCert = good.el, good.cert
		expected--
	}
	for _, el := range children(a.root, nsAssertion, "Assertion") {
		expected -= len(children(el, nsSignature, "Signature"))
	}
	if expected != 0 {
		return fmt.Errorf("%d signatures stand where none belongs", expected)
	}
	return nil
}

func readStatus(a *answer) error {
	status, err := one(a.root, nsProtocol, "Status")
	if err != nil {
		return err
	}
	code, err := one(status, nsProtocol, "StatusCode")
	if err != nil {
		return err
	}
	s := &a.signIn
	s.Status = attr(code, "Value")
	top := []string{statusPrefix + "Success", statusPrefix + "Requester", statusPrefix + "Responder", statusPrefix + "VersionMismatch"}
	if !slices.Contains(top, s.Status) {
		return fmt.Errorf("%q is no top-level status code", s.Status)
	}
	if second := children(code, nsProtocol, "StatusCode"); len(second) > 0 {
		s.SubStatus = attr(second[0], "Value")
	}
	for _, m := range children(status, nsProtocol, "StatusMessage") {
		s.StatusMessage = text(m)
	}
	for _, d := range children(status, nsProtocol, "StatusDetail") {
		s.StatusDetail = allText(d)
	}
	return nil
}

func checkDestination(a *answer) error {
	if d := attr(a.root, "Destination"); d != a.o.cfg.ACS {
		return fmt.Errorf("the Destination is %q, not %q", d, a.o.cfg.ACS)
	}
	return nil
}

// checkInResponseTo looks the request up, once for the Response and, where there
// is one, the SubjectConfirmationData.
func checkInResponseTo(a *answer) error {
	id := attr(a.root, "InResponseTo")
	request, found := a.o.waiting(id)
	if !found {
		return fmt.Errorf("no request %q waits for an answer", id)
	}
	a.request, a.requestID, a.signIn.RequestID = request, id, id
	if a.assertion == nil {
		return nil
	}
	data, err := confirmationData(a)
	if err != nil {
		return err
	}
	if other := attr(data, "InResponseTo"); other != id {
		return fmt.Errorf("the SubjectConfirmationData answers %q, the Response %q", other, id)
	}
	return nil
}

func checkRelayState(a *answer) error {
	if a.relayState != a.request.relayState {
		return fmt.Errorf("the RelayState is %q, not %q", a.relayState, a.request.relayState)
	}
	return nil
}

func checkFailureSigned(a *answer) error {
	if a.rootCert == nil {
		return errors.New("the failure is not signed")
	}
	return nil
}

func checkFailureAlone(a *answer) error {
	if n := len(children(a.root, nsAssertion, "Assertion")) + len(children(a.root, nsAssertion, "EncryptedAssertion")); n > 0 {
		return fmt.Errorf("a failure with %d assertions", n)
	}
	return nil
}

func checkScope(a *answer) error {
	scope := a.o.cfg.Signature
	switch {
	case a.rootCert == nil && a.cert == nil:
		return errors.New("neither the Response nor the Assertion is signed")
	case scope == ScopeResponse && a.rootCert == nil:
		return errors.New("the Response is not signed")
	case scope == ScopeToken && a.cert == nil:
		return errors.New("the Assertion is not signed")
	}
	return nil
}

func checkReplay(a *answer) error {
	id := a.signIn.AssertionID
	if a.o.processed(id) {
		return fmt.Errorf("the assertion %q was accepted before", id)
	}
	return nil
}

func checkPosture(a *answer) error {
	if a.request.factor {
		return nil
	}
	raw, err := a.assertionXML()
	if err != nil {
		return err
	}
	p, findings := contract.ParsePosture(raw)
	for _, f := range findings {
		if f.Severity == contract.Must {
			return errors.New(f.String())
		}
	}
	s := &a.signIn
	s.Device, s.Facts, s.Attestations = p.Device, p.Facts, p.Attestations
	for _, f := range p.Facts {
		switch f.Name {
		case contract.FactManaged:
			s.Managed = f.Value == "true"
		case contract.FactCompliant:
			s.Compliant = f.Value == "true"
		}
	}
	return nil
}
