package idp_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"gatepost.dev/conform"
	"gatepost.dev/idp"
	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// altered is an inventory whose records of certificates say something else.
type altered struct {
	*store.Records
	change func(*posture.Certificate)
}

func (a altered) Certificate(ctx context.Context, authority, serial string) (posture.Certificate, error) {
	c, err := a.Records.Certificate(ctx, authority, serial)
	a.change(&c)
	return c, err
}

// TestIssuedCertificateIsHeldAgainstItsRecord: the signature of the built-in
// authority alone proves nothing.
func TestIssuedCertificateIsHeldAgainstItsRecord(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*posture.Certificate)
		want   posture.Reason
	}{
		"of another device": {func(c *posture.Certificate) { c.DeviceID = "mac-2" }, posture.UnknownDevice},
		"of another key":    {func(c *posture.Certificate) { c.KeyHash = strings.Repeat("0", 64) }, posture.UnknownDevice},
		"revoked":           {func(c *posture.Certificate) { c.RevokedAt = c.NotBefore }, posture.RevokedCertificate},
	} {
		w := newWorld(t, func(w *world) { w.provider.Inventory = altered{w.records, tt.change} })
		w.device("mac-1", managed)
		w.device("mac-2", managed)
		in := w.signIn(browser(w.certificate("mac-1", time.Hour)), conform.RequestOptions{Subject: user})
		if d := w.lastDecision(); in.OK() || in.StatusDetail != string(tt.want) || d.Managed || d.Reason != tt.want {
			t.Errorf("record %s: %+v, decision %+v", name, in, d)
		}
	}
}

// TestAttestationsAreOfManagedDevices: they are passed on with a verdict that
// speaks for the device, and with no other.
func TestAttestationsAreOfManagedDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.party.AssertUnmanaged = true })
	for id, facts := range map[string]map[string]string{"mac-1": managed, "mac-2": {posture.FactManaged: "false"}} {
		w.device(id, facts)
		must(w.records.UpdateDevice(t.Context(), id, func(d *posture.Device, _ bool) error {
			d.Attestations = []posture.Attestation{{Type: "tpm", Value: "quote-of-" + id}}
			return nil
		}))(t)
		p := w.send(browser(w.certificate(id, time.Hour)), must(w.okta.Request(conform.RequestOptions{Subject: user}))(t))
		if _, err := w.okta.Receive(p.response, p.relay); err != nil {
			t.Fatal(err)
		}
		xml := must(base64.StdEncoding.DecodeString(p.response))(t)
		if got := strings.Contains(string(xml), "quote-of-"+id); got != (id == "mac-1") {
			t.Errorf("%s: attestation passed on: %t", id, got)
		}
	}
}

// claims notes until when requests are claimed.
type claims struct {
	idp.Recorder
	until chan time.Time
}

func (c claims) Decide(ctx context.Context, d posture.Decision, until time.Time) error {
	c.until <- until
	return c.Recorder.Decide(ctx, d, until)
}

// TestClaimOutlastsRequest: a request stays claimed for as long as it would be
// accepted, also one from the edge of the future.
func TestClaimOutlastsRequest(t *testing.T) {
	t.Parallel()
	until := make(chan time.Time, 1)
	w := newWorld(t, func(w *world) { w.provider.Recorder = claims{w.records, until} })
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	r := must(w.okta.Request(conform.RequestOptions{Subject: user, IssueInstant: w.now().Add(55 * time.Second)}))(t)
	if p := w.send(client, r); p.status != http.StatusOK {
		t.Fatalf("status %d\n%s", p.status, w.logged)
	}
	w.offset.Add(int64(time.Until(<-until) + time.Second))
	if p := w.send(client, r); p.status != http.StatusBadRequest || !w.logged.wait(`"reason":"stale"`) {
		t.Errorf("after the claim's end: status %d\n%s", p.status, w.logged)
	}
}

// signedOverSHA1 signs a document as Okta did until December 2025: an RSA-SHA256
// signature whose Reference has a SHA-1 digest.
func signedOverSHA1(t *testing.T, document []byte) string {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(document); err != nil {
		t.Fatal(err)
	}
	canonical := must(dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("").Canonicalize(doc.Root()))(t)
	digest := sha1.Sum(canonical)
	const c14n = "http://www.w3.org/2001/10/xml-exc-c14n#"
	info := `<ds:CanonicalizationMethod Algorithm="` + c14n + `"></ds:CanonicalizationMethod>` +
		`<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"></ds:SignatureMethod>` +
		`<ds:Reference URI="#` + doc.Root().SelectAttrValue("ID", "") + `"><ds:Transforms>` +
		`<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform>` +
		`<ds:Transform Algorithm="` + c14n + `"></ds:Transform></ds:Transforms>` +
		`<ds:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"></ds:DigestMethod>` +
		`<ds:DigestValue>` + base64.StdEncoding.EncodeToString(digest[:]) + `</ds:DigestValue></ds:Reference></ds:SignedInfo>`
	const ns = ` xmlns:ds="http://www.w3.org/2000/09/xmldsig#"`
	sum := sha256.Sum256([]byte(`<ds:SignedInfo` + ns + `>` + info))
	value := must(rsa.SignPKCS1v15(rand.Reader, oktaKey(), crypto.SHA256, sum[:]))(t)
	end := strings.LastIndex(string(canonical), "</")
	return string(canonical[:end]) + `<ds:Signature` + ns + `><ds:SignedInfo>` + info +
		`<ds:SignatureValue>` + base64.StdEncoding.EncodeToString(value) + `</ds:SignatureValue></ds:Signature>` + string(canonical[end:])
}

// TestSHA1DigestIsLogged: what the switch lets pass can be seen, and without the
// switch nothing passes.
func TestSHA1DigestIsLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	try := func() page {
		r := must(w.okta.Request(conform.RequestOptions{Subject: user, Unsigned: true}))(t)
		r.Form.SAMLRequest = base64.StdEncoding.EncodeToString([]byte(signedOverSHA1(t, r.XML)))
		return w.send(client, r)
	}
	if p := try(); p.status != http.StatusBadRequest || !w.logged.wait(`"reason":"signature_algorithm"`) {
		t.Errorf("switched off: status %d\n%s", p.status, w.logged)
	}
	w.party.SAML.AllowSHA1 = true
	if p := try(); p.status != http.StatusOK || !w.logged.wait(`"sha1_digest":true`) {
		t.Errorf("switched on: status %d\n%s", p.status, w.logged)
	}
	w.signIn(client, conform.RequestOptions{Subject: user})
	w.logged.wait(w.lastDecision().ID)
	if n := strings.Count(w.logged.String(), "sha1_digest"); n != 1 {
		t.Errorf("logged of %d requests, one was over SHA-1", n)
	}
}
