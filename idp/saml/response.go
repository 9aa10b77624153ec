package saml

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gatepost.dev/contract"
	"gatepost.dev/posture"
)

// Lifetime of an assertion: never more than five minutes in all. It begins in
// the past, since Okta's clock skew can be set to zero.
const (
	notBefore    = -30 * time.Second
	notOnOrAfter = 4*time.Minute + 30*time.Second
)

// Answer is what every Response says, whatever its outcome.
type Answer struct {
	Issuer       string // entity ID of this provider
	ID           string // of the Response; an NCName
	InResponseTo string // ID of the request
	ACS          string // registered assertion consumer service of the relying party
	Now          time.Time
}

// Assertion is an answer with Success, said of one user: the posture of the one
// device at the other end, or, as a factor, that it is a good one.
type Assertion struct {
	Answer
	AssertionID  string // an NCName
	SessionIndex string
	Audience     string // entity ID of the relying party
	NameID       NameID
	App          posture.AppContext // as requested; echoed verbatim
	EmptyApp     EmptyApp
	Class        string           // authentication context class: contract.DevicePosture, or one of a factor
	Posture      contract.Posture // of the class DevicePosture only
	Scope        Scope
	// EncryptTo holds the relying party's encryption key; nil sends the
	// assertion in the clear.
	EncryptTo *EncryptionKey
}

// Prepared is a checked answer. Only a Prepared can be signed, and only once.
type Prepared struct {
	id, assertionID string
	scope           Scope
	encryptTo       *EncryptionKey
	signed          bool

	// The Response is start, its signature, status, the assertion, end; the
	// assertion is assertionStart, its signature, assertionBody.
	start, status                 writer
	assertionStart, assertionBody *writer // nil in a refusal
}

const responseEnd = "</samlp:Response>"

// PrepareAssertion checks what is to be asserted, against SAML core and against
// Okta's contract, and writes it down for signing.
func PrepareAssertion(a *Assertion) (*Prepared, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("prepare assertion: %w", err)
	}
	p := &Prepared{id: a.ID, assertionID: a.AssertionID, scope: a.Scope, encryptTo: a.EncryptTo}
	a.Answer.write(&p.start)
	p.status.raw(`<samlp:Status><samlp:StatusCode Value="` + StatusSuccess + `"></samlp:StatusCode></samlp:Status>`)
	p.assertionStart = &writer{b: make([]byte, 0, 512)}
	a.writeStart(p.assertionStart)
	p.assertionBody = &writer{b: make([]byte, 0, 4096)}
	a.writeBody(p.assertionBody)
	return p, nil
}

func (a *Answer) check() error {
	switch {
	case a.Issuer == "":
		return errors.New("no issuer")
	case !isNCName(a.ID):
		return fmt.Errorf("response ID %q is not an NCName", a.ID)
	case !isNCName(a.InResponseTo):
		return fmt.Errorf("request ID %q is not an NCName", a.InResponseTo)
	case a.ACS == "":
		return errors.New("no assertion consumer service")
	case a.Now.IsZero():
		return errors.New("no time of issue")
	}
	return checkText("issuer", a.Issuer, "assertion consumer service", a.ACS)
}

func (a *Assertion) check() error {
	if err := a.Answer.check(); err != nil {
		return err
	}
	switch {
	case !isNCName(a.AssertionID):
		return fmt.Errorf("assertion ID %q is not an NCName", a.AssertionID)
	case a.AssertionID == a.ID:
		return fmt.Errorf("response and assertion share the ID %q", a.ID)
	case a.SessionIndex == "":
		return errors.New("no session index")
	case a.Audience == "":
		return errors.New("no audience")
	case a.NameID.Value == "":
		return errors.New("no subject")
	}
	if err := checkText("audience", a.Audience, "subject", a.NameID.Value, "subject's format", a.NameID.Format,
		"subject's qualifier", a.NameID.NameQualifier, "subject's service provider qualifier", a.NameID.SPNameQualifier,
		"session index", a.SessionIndex,
		"application instance", a.App.InstanceID, "application name", a.App.Name); err != nil {
		return err
	}
	return a.checkContext()
}

// checkContext holds a posture against the contract, and wants a factor to say
// nothing but its class, which is one that is true of it.
func (a *Assertion) checkContext() error {
	if a.Class != contract.DevicePosture {
		switch p := &a.Posture; {
		case !slices.Contains(factorClasses, a.Class):
			return fmt.Errorf("authentication context class %q is not one of a factor", a.Class)
		case p.Device != (contract.Device{}) || len(p.Facts) > 0 || len(p.Attestations) > 0:
			return errors.New("a factor with a posture")
		}
		return nil
	}
	for _, f := range a.Posture.Check() {
		if f.Severity == contract.Must {
			return fmt.Errorf("against the contract: %v", f)
		}
	}
	return nil
}

// write writes the start tag and the Issuer of the Response (SAML core 3.2.2;
// the Issuer is required by SAML profiles 4.1.4.2 and enforced by Okta).
func (a *Answer) write(w *writer) {
	w.b = make([]byte, 0, 1024)
	w.raw(`<samlp:Response xmlns:samlp="` + nsProtocol + `"`)
	w.attr("Destination", a.ACS)
	w.attr("ID", a.ID)
	w.attr("InResponseTo", a.InResponseTo)
	w.attr("IssueInstant", instant(a.Now))
	w.raw(` Version="2.0"><saml:Issuer xmlns:saml="` + nsAssertion + `">`)
	w.text(a.Issuer)
	w.raw(`</saml:Issuer>`)
}

// writeStart writes the assertion up to where its signature belongs. The
// declaration of the prefix is repeated here so that the same bytes are
// canonical inside and outside of the Response.
func (a *Assertion) writeStart(w *writer) {
	w.raw(`<saml:Assertion xmlns:saml="` + nsAssertion + `"`)
	w.attr("ID", a.AssertionID)
	w.attr("IssueInstant", instant(a.Now))
	w.raw(` Version="2.0"><saml:Issuer>`)
	w.text(a.Issuer)
	w.raw(`</saml:Issuer>`)
}

func (a *Assertion) writeBody(w *writer) {
	until := instant(a.Now.Add(notOnOrAfter))

	w.raw(`<saml:Subject><saml:NameID`)
	w.optionalAttr("Format", a.NameID.Format)
	w.optionalAttr("NameQualifier", a.NameID.NameQualifier)
	w.optionalAttr("SPNameQualifier", a.NameID.SPNameQualifier)
	w.raw(`>`)
	w.text(a.NameID.Value)
	w.raw(`</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData`)
	w.attr("InResponseTo", a.InResponseTo)
	w.attr("NotOnOrAfter", until)
	w.attr("Recipient", a.ACS)
	w.raw(`></saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject><saml:Conditions`)
	w.attr("NotBefore", instant(a.Now.Add(notBefore)))
	w.attr("NotOnOrAfter", until)
	w.raw(`><saml:AudienceRestriction><saml:Audience>`)
	w.text(a.Audience)
	w.raw(`</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement`)
	w.attr("AuthnInstant", instant(a.Now))
	w.attr("SessionIndex", a.SessionIndex)
	w.raw(`><saml:AuthnContext><saml:AuthnContextClassRef>`, a.Class, `</saml:AuthnContextClassRef>`)
	if a.Class == contract.DevicePosture {
		w.raw(`<saml:AuthnContextDecl>`)
		writePosture(w, &a.Posture)
		w.raw(`</saml:AuthnContextDecl>`)
	}
	w.raw(`</saml:AuthnContext></saml:AuthnStatement>`)
	writeApp(w, a.App, a.EmptyApp)
	w.raw(`</saml:Assertion>`)
}

// writePosture writes the posture extension as the contract has it: everything
// in the DevicePosture namespace, facts before attestations.
func writePosture(w *writer, p *contract.Posture) {
	w.raw(`<AuthenticationContextDeclaration xmlns="` + contract.DevicePosture + `"><AuthnMethod></AuthnMethod><Extension><Device`)
	w.optionalAttr("ID", p.Device.ID)
	w.optionalAttr("Model", p.Device.Model)
	w.optionalAttr("OS", p.Device.OS)
	w.optionalAttr("OSVersion", p.Device.OSVersion)
	w.optionalAttr("Vendor", p.Device.Vendor)
	w.raw(`><Posture>`)
	for i := range p.Facts {
		w.raw(`<Fact`)
		w.attr("Name", p.Facts[i].Name)
		w.attr("Value", p.Facts[i].Value)
		w.raw(`></Fact>`)
	}
	for i := range p.Attestations {
		w.raw(`<Attestation`)
		w.attr("Type", p.Attestations[i].Type)
		w.raw(`>`)
		w.text(p.Attestations[i].Value)
		w.raw(`</Attestation>`)
	}
	w.raw(`</Posture></Device></Extension></AuthenticationContextDeclaration>`)
}

// writeApp echoes the application context, in the form that Okta documents for
// external identity providers: attributes of unspecified name format whose
// values are typed xs:string. The declaration of xs is needed to read the type
// and is no part of canonical form, since no name uses it.
func writeApp(w *writer, app posture.AppContext, empty EmptyApp) {
	if app == (posture.AppContext{}) && empty == (EmptyApp{}) {
		return
	}
	w.raw(`<saml:AttributeStatement>`)
	for _, a := range [...]struct {
		name, value string
		empty       bool
	}{{contract.AppInstanceID, app.InstanceID, empty.InstanceID}, {contract.AppName, app.Name, empty.Name}} {
		if a.value == "" && !a.empty {
			continue
		}
		w.raw(`<saml:Attribute Name="`, a.name, `" NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:unspecified"><saml:AttributeValue`)
		w.undigested(` xmlns:xs="` + nsXS + `"`)
		w.raw(` xmlns:xsi="` + nsXSI + `" xsi:type="xs:string">`)
		w.text(a.value)
		w.raw(`</saml:AttributeValue></saml:Attribute>`)
	}
	w.raw(`</saml:AttributeStatement>`)
}
