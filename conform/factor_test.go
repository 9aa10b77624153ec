package conform

import (
	"testing"

	"github.com/beevik/etree"

	"gatepost.dev/contract"
)

const classX509 = "urn:oasis:names:tc:SAML:2.0:ac:classes:X509"

// plain makes an answer one of a factor, with that class.
func plain(class string) func(*etree.Element) {
	return func(root *etree.Element) {
		context := at(root, "Assertion", "AuthnStatement", "AuthnContext")
		at(context, "AuthnContextClassRef").SetText(class)
		context.RemoveChild(at(context, "AuthnContextDecl"))
	}
}

func TestFactor(t *testing.T) {
	t.Parallel()
	asked := func(comparison string, classes ...string) func(*RequestOptions) {
		return func(o *RequestOptions) { o.Factor, o.Comparison, o.ClassRefs = true, comparison, classes }
	}
	for name, tt := range map[string]struct {
		ask  func(*RequestOptions)
		edit func(*etree.Element)
		ok   bool
	}{
		"nothing asked":       {asked(""), plain(classX509), true},
		"asked exactly":       {asked("exact", "urn:other", classX509), plain(classX509), true},
		"at least a password": {asked("minimum", "urn:password"), plain(classX509), true},
		"another class":       {asked("exact", "urn:other"), plain(classX509), false},
		"no class":            {asked(""), plain(""), false},
		"class of a posture":  {asked(""), plain(contract.DevicePosture), false},
		"a posture":           {asked(""), nil, false},
		"a posture beside it": {asked(""), func(root *etree.Element) {
			at(root, "Assertion", "AuthnStatement", "AuthnContext", "AuthnContextClassRef").SetText(classX509)
		}, false},
	} {
		o := newTestOkta(t, nil)
		req := request(t, o, tt.ask)
		answer := signedBoth()
		answer.edit = tt.edit
		in, err := o.Receive(answer.answerTo(t, o, req.ID), "https://acme.okta.example/app/UserHome")
		if !tt.ok {
			t.Run(name, func(t *testing.T) { wantRejection(t, err, "context", "") })
			continue
		}
		if err != nil || !in.OK() || in.ClassRef != classX509 || !in.Managed || !in.Compliant || in.Device.ID != "" {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
	}
}

// TestFactorIsNoPosture: who asked for a posture is not content with a factor.
func TestFactorIsNoPosture(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	answer := signedBoth()
	answer.edit = plain(classX509)
	_, err := o.Receive(answer.answerTo(t, o, request(t, o, nil).ID), "https://acme.okta.example/app/UserHome")
	wantRejection(t, err, "posture", "")
}
