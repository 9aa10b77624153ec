package admin

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// addDevices puts n devices into the inventory, every second one managed, every
// third one alice's.
func (w *world) addDevices(n int) {
	for i := range n {
		d := posture.Device{}
		report := posture.Report{DeviceID: fmt.Sprintf("d%05d", i), Owner: []string{"alice", "bob", "carol"}[i%3],
			Facts: map[string]string{posture.FactManaged: []string{"true", "false"}[i%2]}}
		d.Apply(&report, posture.Source{Name: "import", Kind: posture.Import}, now)
		w.devices[d.ID] = d
	}
}

// wantProblem checks that err is a refusal of that status with that in its text.
func wantProblem(t *testing.T, err error, status int, text string) {
	t.Helper()
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Status != status || !strings.Contains(p.Detail, text) {
		t.Errorf("error %v (%+v), want status %d and %q", err, p, status, text)
	}
	if ok && (p.Reference == "" || p.Title != http.StatusText(status)) {
		t.Errorf("problem %+v", p)
	}
}

func TestDevicePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addDevices(25)
	yes, no := true, false
	for _, test := range []struct {
		name  string
		query DeviceQuery
		want  []int // devices on each page
	}{
		{"all at once", DeviceQuery{}, []int{25}},
		{"in tens", DeviceQuery{Limit: 10}, []int{10, 10, 5}},
		{"in fives", DeviceQuery{Limit: 5}, []int{5, 5, 5, 5, 5}},
		{"behind one", DeviceQuery{After: "d00019"}, []int{5}},
		{"behind the last", DeviceQuery{After: "z"}, []int{0}},
		{"managed", DeviceQuery{Limit: 8, Managed: &yes}, []int{8, 5}},
		{"not managed", DeviceQuery{Managed: &no}, []int{12}},
		{"alice's", DeviceQuery{Owner: "alice", Limit: 9}, []int{9}},
		{"alice's managed", DeviceQuery{Owner: "alice", Managed: &yes}, []int{5}},
		{"alice's in another case", DeviceQuery{Owner: "ALICE", Limit: 9}, []int{9}},
		{"nobody's", DeviceQuery{Owner: "eve"}, []int{0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			q, last := test.query, test.query.After
			for i, want := range test.want {
				list, err := w.Client.Devices(t.Context(), q)
				if err != nil || len(list.Devices) != want {
					t.Fatalf("page %d: %d devices, error %v, want %d", i, len(list.Devices), err, want)
				}
				for _, d := range list.Devices {
					if d.ID <= last {
						t.Errorf("device %q after %q", d.ID, last)
					}
					last = d.ID
					if managed := d.Facts[0].Value == "true"; d.Verdict.Managed != managed || q.Managed != nil && managed != *q.Managed {
						t.Errorf("device %q: verdict %+v", d.ID, d.Verdict)
					}
				}
				if end := i == len(test.want)-1; (list.Next == "") != end {
					t.Fatalf("page %d: next is %q", i, list.Next)
				}
				q.After = list.Next
			}
		})
	}
}

// A filter that nothing passes must not make one request read everything.
func TestDevicePagesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addDevices(12_000)
	list, err := w.Client.Devices(t.Context(), DeviceQuery{Owner: "nobody"})
	if err != nil || len(list.Devices) != 0 || list.Next != "d09999" || w.scans != 20 {
		t.Errorf("%d devices, next %q, %d scans, error %v", len(list.Devices), list.Next, w.scans, err)
	}
	list, err = w.Client.Devices(t.Context(), DeviceQuery{Owner: "nobody", After: list.Next})
	if err != nil || len(list.Devices) != 0 || list.Next != "" {
		t.Errorf("the rest: next %q, error %v", list.Next, err)
	}
}

func TestDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addDevices(2)
	w.certs = []posture.Certificate{{DeviceID: "d00000", Serial: "ab"}, {DeviceID: "d00001", Serial: "cd"}}
	d, err := w.Client.Device(t.Context(), "d00000")
	if err != nil || d.ID != "d00000" || d.Owner != "alice" || !d.Verdict.Managed || d.Verdict.Compliant || d.Verdict.Reason != posture.NotCompliant {
		t.Errorf("%+v, %v", d, err)
	}
	if len(d.Certificates) != 1 || d.Certificates[0].Serial != "ab" {
		t.Errorf("certificates %+v", d.Certificates)
	}
	for _, id := range []string{"d9", "a/b", "a b", "%", strings.Repeat("a", 129)} {
		_, err = w.Client.Device(t.Context(), id)
		wantProblem(t, err, http.StatusNotFound, "no such device")
	}
}

func TestRetire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addDevices(1)
	mine := devices.Target{Device: "d00000"}
	done, err := w.Retire(t.Context(), mine, "lost in a taxi")
	if err != nil || len(done) != 1 || !done[0].RetiredAt.Equal(now) || w.devices["d00000"].RetireReason != "lost in a taxi" {
		t.Errorf("%+v, %v", done, err)
	}
	_, err = w.Retire(t.Context(), devices.Target{Device: "d9"}, "")
	wantProblem(t, err, http.StatusNotFound, "no such device")
	w.addDevices(1)
	_, err = w.Retire(t.Context(), mine, "two\nlines")
	wantProblem(t, err, http.StatusUnprocessableEntity, "U+000A")
	if d := w.devices["d00000"]; d.Retired() {
		t.Error("retired all the same")
	}
}

func TestIssueCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addDevices(1)
	csr := newCSR(t)
	issued, err := w.IssueCertificate(t.Context(), "d00000", csr, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(issued.Certificate))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if len(cert.URIs) != 1 || cert.URIs[0].String() != "urn:gatepost:device:d00000" || strings.Contains(cert.Subject.String(), "anything") {
		t.Errorf("issued for %v, %v", cert.URIs, cert.Subject)
	}
	if err := cert.CheckSignatureFrom(w.authority.Certificate); err != nil || issued.Authority != string(certs.CertificatePEM(w.authority.Certificate)) {
		t.Errorf("not of the authority: %v", err)
	}
	if !issued.NotAfter.Equal(now.Add(24*time.Hour)) || issued.Serial != certs.Serial(cert) {
		t.Errorf("%+v", issued)
	}
	if len(w.certs) != 1 || w.certs[0].Serial != issued.Serial || w.certs[0].KeyHash != certs.KeyHash(cert) || w.certs[0].DeviceID != "d00000" {
		t.Errorf("recorded %+v", w.certs)
	}

	_, err = w.IssueCertificate(t.Context(), "d00000", csr, 0)
	wantProblem(t, err, http.StatusConflict, "already in use")
	_, err = w.IssueCertificate(t.Context(), "d9", newCSR(t), 0)
	wantProblem(t, err, http.StatusNotFound, "no such device")
	_, err = w.IssueCertificate(t.Context(), "d00000", []byte("nonsense"), 0)
	wantProblem(t, err, http.StatusUnprocessableEntity, "no PEM block")
	for _, lifetime := range []time.Duration{-time.Hour, time.Second, 400 * 24 * time.Hour} {
		_, err = w.IssueCertificate(t.Context(), "d00000", newCSR(t), lifetime)
		wantProblem(t, err, http.StatusUnprocessableEntity, "bad lifetime")
	}
	if _, err := w.Retire(t.Context(), devices.Target{Device: "d00000"}, ""); err != nil {
		t.Fatal(err)
	}
	_, err = w.IssueCertificate(t.Context(), "d00000", newCSR(t), 0)
	wantProblem(t, err, http.StatusConflict, "retired")
	if len(w.certs) != 1 {
		t.Errorf("%d certificates recorded", len(w.certs))
	}
}

// encryptionCertificate has an RSA key, as Okta's have.
func encryptionCertificate(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestRelyingParties(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file = []RelyingParty{{NewRelyingParty: NewRelyingParty{Name: "filed"}, EntityID: "https://filed"}}
	acme := NewRelyingParty{Name: "acme", Metadata: metadata("https://acme", "", nil)}
	rp, err := w.Client.AddRelyingParty(t.Context(), acme)
	want := RelyingParty{EntityID: "https://acme", Origin: FromStore, AddedAt: now, NewRelyingParty: NewRelyingParty{
		Name: "acme", Metadata: acme.Metadata, Use: "posture", Policy: "default", Sign: "both", OnUnmanaged: "refuse", OnNoncompliant: "assert", BindOwner: posture.BindOff}}
	if err != nil || !reflect.DeepEqual(rp, want) || !reflect.DeepEqual(w.parties["acme"], want) {
		t.Errorf("%+v, %v; recorded %+v", rp, err, w.parties["acme"])
	}
	sealed := NewRelyingParty{Name: "sealed", Metadata: metadata("https://sealed", "", encryptionCertificate(t)), Policy: "strict",
		Use: "both", Sign: "assertion", Encrypt: true, OnUnmanaged: "assert", OnNoncompliant: "refuse", AllowSHA1Digests: true, BindOwner: posture.BindWarn}
	if rp, err = w.Client.AddRelyingParty(t.Context(), sealed); err != nil || !reflect.DeepEqual(rp.NewRelyingParty, sealed) {
		t.Errorf("%+v, %v", rp, err)
	}
	list, err := w.Client.RelyingParties(t.Context())
	if err != nil || len(list) != 3 || !reflect.DeepEqual(list[0], want) || list[1].Name != "filed" || list[1].Origin != FromFile || list[2].Name != "sealed" {
		t.Errorf("%+v, %v", list, err)
	}

	wantProblem(t, w.Client.RemoveRelyingParty(t.Context(), "filed"), http.StatusConflict, "configuration file")
	wantProblem(t, w.Client.RemoveRelyingParty(t.Context(), "nobody"), http.StatusNotFound, "no such relying party")
	wantProblem(t, w.Client.RemoveRelyingParty(t.Context(), "a/b"), http.StatusNotFound, "no such relying party")
	if err := w.Client.RemoveRelyingParty(t.Context(), "acme"); err != nil || len(w.parties) != 1 {
		t.Errorf("%v, %d left", err, len(w.parties))
	}
}

func TestRelyingPartyRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file = []RelyingParty{{NewRelyingParty: NewRelyingParty{Name: "filed"}, EntityID: "https://filed"}}
	w.parties["acme"] = RelyingParty{NewRelyingParty: NewRelyingParty{Name: "acme"}, EntityID: "https://acme"}
	good := metadata("https://new", "", nil)
	for _, test := range []struct {
		rp     NewRelyingParty
		status int
		text   string
	}{
		{NewRelyingParty{Name: "acme", Metadata: good}, http.StatusConflict, `"acme": already exists`},
		{NewRelyingParty{Name: "filed", Metadata: good}, http.StatusConflict, `"filed": already exists`},
		{NewRelyingParty{Name: "new", Metadata: metadata("https://acme", "", nil)}, http.StatusConflict, `as relying party "acme"`},
		{NewRelyingParty{Name: "new", Metadata: metadata("https://filed", "", nil)}, http.StatusConflict, `as relying party "filed"`},
		{NewRelyingParty{Name: "", Metadata: good}, http.StatusUnprocessableEntity, "name: "},
		{NewRelyingParty{Name: "..", Metadata: good}, http.StatusUnprocessableEntity, "name: "},
		{NewRelyingParty{Name: "new", Metadata: good, Policy: "lax"}, http.StatusUnprocessableEntity, `no policy "lax"`},
		{NewRelyingParty{Name: "new", Metadata: good, Sign: "none"}, http.StatusUnprocessableEntity, `sign: "none"`},
		{NewRelyingParty{Name: "new", Metadata: good, Use: "mfa"}, http.StatusUnprocessableEntity, `use: "mfa"`},
		{NewRelyingParty{Name: "new", Metadata: good, Use: "factor", OnUnmanaged: "assert"}, http.StatusUnprocessableEntity, "a factor asserts only good devices"},
		{NewRelyingParty{Name: "new", Metadata: good, BindOwner: "sometimes"}, http.StatusUnprocessableEntity, `bind_owner: "sometimes"`},
		{NewRelyingParty{Name: "new", Metadata: good, OnUnmanaged: "ignore"}, http.StatusUnprocessableEntity, `on_unmanaged: "ignore"`},
		{NewRelyingParty{Name: "new", Metadata: good, OnNoncompliant: "ignore"}, http.StatusUnprocessableEntity, `on_noncompliant: "ignore"`},
		{NewRelyingParty{Name: "new", Metadata: good, Encrypt: true}, http.StatusUnprocessableEntity, "no key to encrypt to"},
		{NewRelyingParty{Name: "new"}, http.StatusUnprocessableEntity, "metadata: "},
		{NewRelyingParty{Name: "new", Metadata: "<!DOCTYPE a>" + good}, http.StatusUnprocessableEntity, "metadata: "},
		{NewRelyingParty{Name: "new", Metadata: metadata("https://new", ` validUntil="2026-11-22T15:59:59Z"`, nil)}, http.StatusUnprocessableEntity, "valid until"},
	} {
		_, err := w.Client.AddRelyingParty(t.Context(), test.rp)
		wantProblem(t, err, test.status, test.text)
	}
	_, err := w.Client.AddRelyingParty(t.Context(), NewRelyingParty{Name: "!", Sign: "x", Policy: "y"})
	for _, fault := range []string{"name: ", "policy: ", "sign: ", "metadata: "} { // all of them at once
		wantProblem(t, err, http.StatusUnprocessableEntity, fault)
	}
	if len(w.parties) != 1 {
		t.Errorf("recorded %d", len(w.parties))
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, err := w.Status(t.Context())
	if err != nil || s.Version != "1.2.3" || s.Uptime != 3600 || s.Counts["relying_parties"] != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

// Whatever fails behind the API is a 503 to the client, and nothing of it is
// shown to him.
func TestStorageFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addDevices(1)
	w.break_(errors.New("no space left on /dev/sda1"))
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"devices":   func() error { _, err := w.Client.Devices(ctx, DeviceQuery{}); return err },
		"device":    func() error { _, err := w.Client.Device(ctx, "d00000"); return err },
		"retire":    func() error { _, err := w.Retire(ctx, devices.Target{Device: "d00000"}, ""); return err },
		"issue":     func() error { _, err := w.IssueCertificate(ctx, "d00000", newCSR(t), 0); return err },
		"parties":   func() error { _, err := w.Client.RelyingParties(ctx); return err },
		"decisions": func() error { _, err := w.Client.Decisions(ctx, DecisionQuery{}); return err },
		"decision":  func() error { _, err := w.Client.Decision(ctx, "000001"); return err },
		"last":      func() error { _, err := w.Client.Decisions(ctx, DecisionQuery{Last: 1}); return err },
		"follow":    func() error { return w.FollowDecisions(ctx, DecisionQuery{}, func(posture.Decision) {}) },
		"status":    func() error { _, err := w.Status(ctx); return err },
		"import": func() error {
			_, err := w.Client.Import(ctx, strings.NewReader("id\na\n"), ImportOptions{Format: "csv"}, nil)
			return err
		},
	} {
		err := call()
		wantProblem(t, err, http.StatusServiceUnavailable, "cannot be read or written now")
		if err != nil && strings.Contains(err.Error(), "sda1") {
			t.Errorf("%s shows %v", name, err)
		}
	}
	if d := w.devices["d00000"]; d.Retired() || len(w.certs) > 0 {
		t.Error("something was kept")
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addDevices(1)
	const json_ = "application/json"
	for _, test := range []struct {
		method, path, contentType, body string
		status                          int
	}{
		{"GET", "devices?limit=0", "", "", 400},
		{"GET", "devices?limit=1001", "", "", 400},
		{"GET", "devices?limit=x", "", "", 400},
		{"GET", "devices?limit=1&limit=2", "", "", 400},
		{"GET", "devices?managed=yes", "", "", 400},
		{"GET", "devices?state=lost", "", "", 400},
		{"GET", "decisions?last=1&device=a", "", "", 400},
		{"GET", "decisions?follow=true&outcome=refused", "", "", 400},
		{"GET", "devices?Owner=x", "", "", 400},
		{"GET", "devices?a=%zz", "", "", 400},
		{"GET", "decisions?last=1&after=x", "", "", 400},
		{"GET", "decisions?last=1&limit=2", "", "", 400},
		{"GET", "decisions?last=1001", "", "", 400},
		{"GET", "decisions?follow=1", "", "", 400},
		{"GET", "decisions?follow=true&limit=2", "", "", 400},
		{"POST", "devices/import", "", "id\na\n", 400},
		{"POST", "devices/import?format=xml", "", "id\na\n", 400},
		{"POST", "devices/import?format=csv&source=a/b", "", "id\na\n", 400},
		{"POST", "devices/import?format=csv&replace=1", "", "id\na\n", 400},
		{"POST", "actions/retire", "text/plain", `{}`, 415},
		{"POST", "actions/retire", json_, ``, 400},
		{"POST", "actions/retire", json_, `{"Device":"d00000"}`, 400},
		{"POST", "actions/retire", json_, `{"device":"d00000","device":"d00000"}`, 400},
		{"POST", "actions/retire", json_, `{"device":"d00000"}{}`, 400},
		{"POST", "actions/retire", json_, `{"device":"d00000","why":1}`, 400},
		{"POST", "actions/retire", json_, `{"why":"` + strings.Repeat("x", 70_000) + `"}`, 413},
		{"POST", "devices/d00000/certificates", json_, `{"lifetime":"90d"}`, 422},
		{"POST", "devices/d00000/certificates", json_, `{"csr":7}`, 400},
		{"POST", "relying-parties", json_, `{"name":"a","origin":"file"}`, 400},
		{"POST", "keys/key1", "", "", 404},
		{"DELETE", "devices/d00000", "", "", 405},
		{"GET", "nothing", "", "", 404},
	} {
		response, body := w.ask(t, test.method, test.path, test.contentType, test.body)
		var p Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Errorf("%s %s: %q: %v", test.method, test.path, body, err)
		}
		if response.StatusCode != test.status || p.Status != test.status || p.Detail == "" ||
			response.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %s, want %d", test.method, test.path, response.StatusCode, body, test.status)
		}
	}
	if d := w.devices["d00000"]; d.Retired() || len(w.devices) != 1 || len(w.parties) != 0 {
		t.Error("something was kept")
	}
}
