package conform

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/crewjam/saml"
)

// second asks crewjam/saml's ServiceProvider for its opinion on the signature,
// the audience and the conditions. It is asked last: what it does not check is
// checked by then, and it panics on some of what was refused by then.
func second(a *answer) error {
	doc, known := a.forCrewjam()
	if !known {
		return nil
	}
	cert := a.rootCert
	if cert == nil || a.sealed != nil && a.cert != nil {
		cert = a.cert
	}
	sp := saml.ServiceProvider{
		EntityID:    a.o.cfg.EntityID,
		Key:         a.o.cfg.Key,
		Certificate: a.o.cfg.Certificate,
		AcsURL:      *a.o.acs,
		IDPMetadata: crewjamMetadata(a.o.cfg.Issuer, cert),
	}
	assertion, err := sp.ParseXMLResponse(doc, []string{a.requestID}, *a.o.acs)
	if err != nil {
		var invalid *saml.InvalidResponseError
		if errors.As(err, &invalid) && invalid.PrivateErr != nil {
			err = invalid.PrivateErr // its public text says nothing
		}
		return fmt.Errorf("crewjam/saml: %w", err)
	}
	if assertion.ID != a.signIn.AssertionID {
		return fmt.Errorf("crewjam/saml read the assertion %q", assertion.ID)
	}
	a.signIn.Seconded = true
	return nil
}

// forCrewjam returns the Response as crewjam/saml can read it, or that it
// cannot. Its clock and the 90 seconds that it gives a Response are package
// variables; of AES-GCM it knows 128 bits only.
func (a *answer) forCrewjam() (doc []byte, known bool) {
	theirs := saml.TimeNow()
	if theirs.Sub(a.now).Abs() > time.Second {
		return nil, false
	}
	issued, err := instant(a.root, "IssueInstant")
	if err != nil || theirs.Sub(issued) > saml.MaxIssueDelay-time.Second {
		return nil, false
	}
	switch {
	case a.sealed == nil:
		return a.xml, true
	case a.cert != nil:
		// What it would decrypt, in the place where it was: the Assertion's own
		// signature is what it judges then.
		root := a.root.Copy()
		for _, el := range children(root, nsAssertion, "EncryptedAssertion") {
			root.InsertChildAt(el.Index(), a.clear.Copy())
			root.RemoveChild(el)
		}
		return serialise(root), true
	default:
		return a.xml, a.algorithm != nsEncrypt11+"aes192-gcm" && a.algorithm != nsEncrypt11+"aes256-gcm"
	}
}

func crewjamMetadata(issuer string, cert *x509.Certificate) *saml.EntityDescriptor {
	return &saml.EntityDescriptor{
		EntityID: issuer,
		IDPSSODescriptors: []saml.IDPSSODescriptor{{SSODescriptor: saml.SSODescriptor{RoleDescriptor: saml.RoleDescriptor{
			KeyDescriptors: []saml.KeyDescriptor{{Use: "signing", KeyInfo: saml.KeyInfo{X509Data: saml.X509Data{
				X509Certificates: []saml.X509Certificate{{Data: base64.StdEncoding.EncodeToString(cert.Raw)}},
			}}}},
		}}}},
	}
}
