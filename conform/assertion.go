package conform

import (
	"errors"
	"fmt"
	"strings"

	"github.com/beevik/etree"

	"gatepost.dev/contract"
)

// findAssertion takes the one assertion, and opens it if it is encrypted.
func findAssertion(a *answer) error {
	plain := children(a.root, nsAssertion, "Assertion")
	sealed := children(a.root, nsAssertion, "EncryptedAssertion")
	if len(plain)+len(sealed) != 1 {
		return fmt.Errorf("there are %d assertions", len(plain)+len(sealed))
	}
	if len(sealed) == 1 {
		raw, algorithm, err := decrypt(sealed[0], a.o.cfg.Key)
		if err != nil {
			return err
		}
		root, err := parse(raw)
		if err != nil {
			return err
		}
		if own := len(children(root, nsSignature, "Signature")); countSignatures(root) != own {
			return errors.New("a signature stands where none belongs")
		}
		a.sealed, a.algorithm, a.signIn.Encrypted = sealed[0], algorithm, true
		plain = []*etree.Element{root}
	}
	a.clear = plain[0]
	if a.clear.Tag != "Assertion" || a.clear.NamespaceURI() != nsAssertion {
		return fmt.Errorf("the encrypted element is %q in %q", a.clear.Tag, a.clear.NamespaceURI())
	}
	a.signIn.AssertionID = attr(a.clear, "ID")
	if a.signIn.AssertionID == "" || attr(a.clear, "Version") != "2.0" {
		return fmt.Errorf("the Assertion has ID %q and Version %q", a.signIn.AssertionID, attr(a.clear, "Version"))
	}
	return nil
}

// checkAssertionSignature leaves as the assertion what its signature covers, or
// all of it where only the Response is signed.
func checkAssertionSignature(a *answer) error {
	good, err := verify(a.clear, a.o.cfg.Certificates, a.now)
	if err != nil {
		return err
	}
	a.assertion = a.clear
	if good != nil {
		a.assertion, a.cert = good.el, good.cert
	}
	return nil
}

// assertionXML is the assertion as a document of its own.
func (a *answer) assertionXML() ([]byte, error) {
	own, err := detached(a.assertion)
	if err != nil {
		return nil, err
	}
	return serialise(own), nil
}

// checkIssuer compares exactly, as Okta does: a trailing slash matters.
func checkIssuer(a *answer, el *etree.Element) error {
	issuer, err := one(el, nsAssertion, "Issuer")
	if err != nil {
		return err
	}
	if got := text(issuer); got != a.o.cfg.Issuer {
		return fmt.Errorf("the Issuer of %s is %q, not %q", el.Tag, got, a.o.cfg.Issuer)
	}
	if format := attr(issuer, "Format"); format != "" && format != "urn:oasis:names:tc:SAML:2.0:nameid-format:entity" {
		return fmt.Errorf("the Format of the Issuer of %s is %q", el.Tag, format)
	}
	return nil
}

func checkIssueInstant(a *answer, el *etree.Element) error {
	t, err := instant(el, "IssueInstant")
	if err != nil {
		return err
	}
	if t.After(a.now.Add(a.o.cfg.ClockSkew)) {
		return fmt.Errorf("%s was issued at %s, which is in the future", el.Tag, attr(el, "IssueInstant"))
	}
	return nil
}

// checkNameID compares with the Subject that was sent, byte for byte but for
// the white space around it, which is that of XML (XML 1.0 2.3): a no-break space
// is part of the name.
func checkNameID(a *answer) error {
	id, err := descend(a.assertion, nsAssertion, "Subject", "NameID")
	if err != nil {
		return err
	}
	a.signIn.Subject = text(id)
	if want := strings.Trim(a.request.subject, " \t\r\n"); a.signIn.Subject == "" || want != "" && a.signIn.Subject != want {
		return fmt.Errorf("the NameID is %q, not %q", a.signIn.Subject, want)
	}
	return nil
}

func confirmationData(a *answer) (*etree.Element, error) {
	return descend(a.assertion, nsAssertion, "Subject", "SubjectConfirmation", "SubjectConfirmationData")
}

// checkConfirmation checks the bearer confirmation but for its InResponseTo,
// which has an error text of its own.
func checkConfirmation(a *answer) error {
	confirmation, err := descend(a.assertion, nsAssertion, "Subject", "SubjectConfirmation")
	if err != nil {
		return err
	}
	if m := attr(confirmation, "Method"); m != "urn:oasis:names:tc:SAML:2.0:cm:bearer" {
		return fmt.Errorf("the confirmation method is %q", m)
	}
	data, err := one(confirmation, nsAssertion, "SubjectConfirmationData")
	if err != nil {
		return err
	}
	if r := attr(data, "Recipient"); r != a.o.cfg.ACS {
		return fmt.Errorf("the Recipient is %q, not %q", r, a.o.cfg.ACS)
	}
	if attr(data, "NotBefore") != "" {
		return errors.New("the SubjectConfirmationData has a NotBefore")
	}
	return a.notExpired(data)
}

func (a *answer) notExpired(el *etree.Element) error {
	end, err := instant(el, "NotOnOrAfter")
	if err != nil {
		return err
	}
	if !a.now.Add(-a.o.cfg.ClockSkew).Before(end) {
		return fmt.Errorf("%s ended at %s", el.Tag, attr(el, "NotOnOrAfter"))
	}
	return nil
}

func checkConditions(a *answer) error {
	conditions, err := one(a.assertion, nsAssertion, "Conditions")
	if err != nil {
		return err
	}
	begin, err := instant(conditions, "NotBefore")
	if err != nil {
		return err
	}
	if begin.After(a.now.Add(a.o.cfg.ClockSkew)) {
		return fmt.Errorf("the Conditions begin at %s only", attr(conditions, "NotBefore"))
	}
	return a.notExpired(conditions)
}

func checkAudience(a *answer) error {
	audience, err := descend(a.assertion, nsAssertion, "Conditions", "AudienceRestriction", "Audience")
	if err != nil {
		return err
	}
	if a.audience = text(audience); a.audience != a.o.cfg.EntityID {
		return fmt.Errorf("the Audience is %q", a.audience)
	}
	return nil
}

// checkAppContext wants back what was sent, verbatim: neither trimmed nor in
// another case.
func checkAppContext(a *answer) error {
	if a.request.app == nil {
		return nil
	}
	got := map[string][]string{}
	for _, statement := range children(a.assertion, nsAssertion, "AttributeStatement") {
		for _, at := range children(statement, nsAssertion, "Attribute") {
			for _, v := range children(at, nsAssertion, "AttributeValue") {
				got[attr(at, "Name")] = append(got[attr(at, "Name")], text(v))
			}
		}
	}
	for _, want := range []struct{ name, value string }{
		{contract.AppInstanceID, a.request.app.InstanceID}, {contract.AppName, a.request.app.Name},
	} {
		if values := got[want.name]; len(values) != 1 || values[0] != want.value {
			return fmt.Errorf("%s is %q, not %q once", want.name, values, want.value)
		}
	}
	a.signIn.AppContext = *a.request.app
	return nil
}
