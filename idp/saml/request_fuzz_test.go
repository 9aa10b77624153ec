package saml_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"gatepost.dev/idp/saml"
)

// wellRefused holds that an error is one of the two kinds that callers know.
func wellRefused(t *testing.T, err error) {
	t.Helper()
	var b *saml.BadRequest
	var s *saml.StatusError
	switch {
	case errors.As(err, &b):
		if b.Reason == "" || strings.ContainsAny(b.Reason, " <\"'") {
			t.Fatalf("reason %q", b.Reason)
		}
	case errors.As(err, &s):
		if s.Request == nil || s.Request.ID == "" || !strings.HasPrefix(s.Request.ACS, reqACS) {
			t.Fatalf("status %+v", s)
		}
	default:
		t.Fatalf("error of another kind: %v", err)
	}
}

func FuzzDecodeRedirect(f *testing.F) {
	for _, v := range allRequests() {
		if strings.HasSuffix(v.name, ".query") {
			f.Add(string(mustRead(v.name)))
		}
	}
	f.Fuzz(func(t *testing.T, query string) {
		m, err := saml.DecodeRedirect(query)
		if err != nil {
			wellRefused(t, err)
			return
		}
		if m.Issuer() == "" {
			t.Fatal("no issuer")
		}
		if _, err := m.Check(reqProvider(), reqEndpoint, reqNow()); err != nil {
			wellRefused(t, err)
		}
	})
}

func FuzzDecodePost(f *testing.F) {
	for _, v := range allRequests() {
		if strings.HasSuffix(v.name, ".form") {
			f.Add(mustRead(v.name))
		}
	}
	f.Add([]byte(form(reqBase, "RelayState", "x")))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := saml.DecodePost(body)
		if err != nil {
			wellRefused(t, err)
			return
		}
		if m.Issuer() == "" {
			t.Fatal("no issuer")
		}
	})
}

// FuzzCheck holds that whatever document passes for signed says what the
// registered key once signed: nobody but its holder could make another.
func FuzzCheck(f *testing.F) {
	genuine := map[string]*saml.Request{}
	for _, v := range allRequests() {
		if !strings.HasSuffix(v.name, ".xml") {
			continue
		}
		doc := string(mustRead(v.name))
		f.Add(doc)
		if r, err := reqCheck(f, ".xml", doc, reqProvider()); err == nil && r.Signed {
			genuine[v.name] = r
		}
	}
	if len(genuine) == 0 {
		f.Fatal("no signed request among the vectors")
	}
	sp := reqProvider()
	f.Fuzz(func(t *testing.T, doc string) {
		r, err := reqCheck(t, ".xml", doc, sp)
		switch {
		case err != nil:
			wellRefused(t, err)
		case r.ID == "" || r.Issuer != reqEntityID || !strings.HasPrefix(r.ACS, reqACS):
			t.Fatalf("accepted %+v", r)
		case r.Signed:
			for _, g := range genuine {
				if reflect.DeepEqual(r, g) {
					return
				}
			}
			t.Fatalf("forged %+v by %q", r, doc)
		}
	})
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(oktaMetadata()))
	f.Add([]byte(spMetadata(keyDescriptor("", base64Cert("sp-ec")) + consumer(acsPost+` Location="https://sp.example.com/acs" index="0"`))))
	f.Fuzz(func(t *testing.T, data []byte) {
		sp, err := saml.ParseMetadata(data)
		if err != nil {
			return
		}
		defaults := 0
		for _, a := range sp.AssertionConsumers {
			if a.Default {
				defaults++
			}
		}
		if sp.EntityID == "" || defaults != 1 || sp.RequestsSigned && len(sp.Keys) == 0 || sp.AllowSHA1 {
			t.Fatalf("accepted %+v", sp)
		}
	})
}
