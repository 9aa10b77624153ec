package saml_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost.dev/idp/saml"
)

var updateRequests = flag.Bool("update-requests", false, "write testdata/saml/requests anew")

// reqVector is one request and what must become of it.
type reqVector struct {
	name string // .xml: a document for HTTP-POST; .form: a whole body; .query: a whole query string
	want string // "accepted", "bad request: REASON", or "status: SECOND-LEVEL CODE"
	what string
	make func() string
}

func (v *reqVector) file() string { return filepath.Join(reqDir, v.name) }

func allRequests() []reqVector {
	return append(append(acceptedRequests(), wellFormednessRequests()...),
		append(append(signatureRequests(), wrappedRequests()...), append(contentRequests(), statusRequests()...)...)...)
}

// outcome puts the result of a check as the vectors do.
func outcome(err error) string {
	var b *saml.BadRequest
	var s *saml.StatusError
	switch {
	case err == nil:
		return "accepted"
	case errors.As(err, &b):
		return "bad request: " + b.Reason
	case errors.As(err, &s):
		return "status: " + s.Sub[strings.LastIndexByte(s.Sub, ':')+1:]
	}
	return "failure: " + err.Error()
}

func TestRequestVectors(t *testing.T) {
	t.Parallel()
	vectors := allRequests()
	if *updateRequests {
		writeRequests(t, vectors)
	}
	known := map[string]bool{"README.md": true, "sp-rsa-key.pem": true, "sp-rsa.crt": true, "sp-ec-key.pem": true, "sp-ec.crt": true, "other-key.pem": true, "other.crt": true}
	for _, v := range vectors {
		if known[v.name] {
			t.Fatalf("%s is there twice", v.name)
		}
		known[v.name] = true
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(v.file())
			if err != nil {
				t.Fatal(err)
			}
			sp := reqProvider()
			r, err := reqCheck(t, v.name, string(content), sp)
			if got := outcome(err); got != v.want {
				t.Fatalf("got %s (%v), want %s", got, err, v.want)
			}
			if err != nil && r != nil {
				t.Errorf("a request beside the error %v", err)
			}
			if s := (*saml.StatusError)(nil); errors.As(err, &s) {
				checkStatus(t, s)
			}
			if b := (*saml.BadRequest)(nil); errors.As(err, &b) && len(b.Error()) > 400 {
				t.Errorf("error of %d bytes", len(b.Error()))
			}
		})
	}
	files, err := os.ReadDir(reqDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[f.Name()] {
			t.Errorf("%s belongs to no vector", f.Name())
		}
	}
	if readme := mustRead("README.md"); string(readme) != requestsReadme(vectors) {
		t.Error("README.md is not of these vectors: go test ./idp/saml -run TestRequestVectors -update-requests")
	}
}

// checkStatus makes sure that a status can be answered: to a registered
// endpoint, with a top-level code.
func checkStatus(t *testing.T, s *saml.StatusError) {
	t.Helper()
	if s.Request == nil || s.Request.ID != "id1" || s.Request.Issuer != reqEntityID || s.Message == "" {
		t.Errorf("status cannot be answered: %+v", s)
		return
	}
	if !strings.HasPrefix(s.Request.ACS, reqACS) {
		t.Errorf("status goes to %q", s.Request.ACS)
	}
	switch s.Code {
	case saml.StatusRequester, saml.StatusResponder, saml.StatusVersionMismatch:
	default:
		t.Errorf("top-level code %q", s.Code)
	}
}

func writeRequests(t *testing.T, vectors []reqVector) {
	t.Helper()
	for _, v := range vectors {
		if err := os.WriteFile(v.file(), []byte(v.make()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(reqDir, "README.md"), []byte(requestsReadme(vectors)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func requestsReadme(vectors []reqVector) string {
	var b strings.Builder
	b.WriteString(`# AuthnRequests, good and bad

Each file is one message as a browser brings it: ` + "`.xml`" + ` is the document that an HTTP-POST form holds in base64, ` + "`.form`" + ` a whole form
body, ` + "`.query`" + ` a whole query string of the HTTP-Redirect binding.

They are checked on 2026-11-22 at 16:00 UTC at the endpoint ` + "`" + reqEndpoint + "`" + `, against a relying party ` + "`" + reqEntityID + "`" + ` that
registered the keys sp-rsa and sp-ec and the assertion consumer services ` + "`" + reqACS + "`" + ` (index 0, default) and
` + "`" + reqACS + "/second`" + ` (index 7), and whose metadata do not say AuthnRequestsSigned. The keys here are for tests alone.

The generator is in ` + "`idp/saml`" + `: ` + "`go test ./idp/saml -run TestRequestVectors -update-requests`" + ` writes these files and this page.

| file | outcome | what it is |
|---|---|---|
`)
	for _, v := range vectors {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", v.name, v.want, v.what)
	}
	return b.String()
}
