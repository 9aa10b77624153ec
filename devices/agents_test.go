package devices_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

func TestEnrollNewDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.machine("PF3NEW").mustEnrol(w.token(devices.NewToken{Owner: "ann@example.com"}))
	d := w.device(m.answer.DeviceID)
	if m.answer.State != agentapi.Pending || w.judge(&d).Managed || w.judge(&d).Reason != posture.NotManaged || !d.Pending() {
		t.Errorf("enrolled as %q: %+v", m.answer.State, d)
	}
	if d.Owner != "ann@example.com" || d.Serial != "PF3NEW" || d.Vendor != "Dell Inc." || strings.Contains(d.ID, "PF3") {
		t.Errorf("%+v", d)
	}
	if m.answer.DeviceURL != "https://device.example.com" || m.answer.ReportEvery != 3600 || !m.answer.RenewAt.After(begin) {
		t.Errorf("%+v", m.answer)
	}
	if leaf := m.chain[0]; leaf.URIs[0].String() != "urn:gatepost:device:"+d.ID || leaf.Subject.CommonName != d.ID {
		t.Errorf("certificate of %q for %v", leaf.Subject, leaf.URIs)
	}
	// Approved, it is managed for as long as its agent reports.
	if _, err := w.decider.Approve(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	w.pass(6 * 24 * time.Hour)
	m.want("report", m.said(1), http.StatusAccepted, "")
	w.pass(6 * 24 * time.Hour)
	if d = w.device(d.ID); !w.judge(&d).Managed || d.Pending() {
		t.Errorf("approved: %+v", w.judge(&d))
	}
	w.pass(2 * 24 * time.Hour)
	if v := w.judge(&d); v.Managed || v.Reason != posture.Stale {
		t.Errorf("eight days after its last report: %+v", v)
	}
}

// TestEnrollTakesTheKeyOnly: what the request says of a subject is not heard.
func TestEnrollTakesTheKeyOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(imported("boss", "S-BOSS", "Dell"))
	key, _ := newCSR(t)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "boss"}, URIs: []*url.URL{{Scheme: "urn", Opaque: "gatepost:device:boss"}},
		DNSNames: []string{"boss"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	var answer agentapi.Enrollment
	status, problem, _ := w.post(agentapi.EnrollPath, nil, marshal(t, agentapi.EnrollRequest{Token: w.token(devices.NewToken{Managed: true}), CSR: csr}), &answer)
	if status != http.StatusCreated || answer.State != agentapi.Managed {
		t.Fatalf("%d %+v", status, problem)
	}
	leaf := parsePEM(t, answer.Certificate)
	if answer.DeviceID == "boss" || len(leaf.URIs) != 1 || leaf.URIs[0].String() != "urn:gatepost:device:"+answer.DeviceID || len(leaf.DNSNames) > 0 {
		t.Errorf("certificate for %v %v", leaf.URIs, leaf.DNSNames)
	}
}

func TestEnrollRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(imported("lost", "S-LOST", "Dell"))
	if _, err := w.actor.Retire(t.Context(), devices.Target{Device: "lost"}, "stolen"); err != nil {
		t.Fatal(err)
	}
	w.add(imported("mac", "S-MAC", "Apple"))
	used := w.token(devices.NewToken{})
	w.machine("S-1").mustEnrol(used)
	late := w.token(devices.NewToken{Lifetime: time.Minute})
	revoked, record, err := w.tokens.Create(t.Context(), devices.NewToken{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.records.RevokeToken(t.Context(), record.ID(), begin); err != nil {
		t.Fatal(err)
	}
	forSerial, forMac := w.token(devices.NewToken{Serial: "S-777"}), w.token(devices.NewToken{DeviceID: "mac"})
	open := w.token(devices.NewToken{})
	w.pass(time.Minute)
	for _, tt := range []struct {
		what, token, serial string
		status              int
		code                agentapi.Code
	}{
		{"unknown token", "gpe_nobodys", "S-222", 401, agentapi.CodeToken},
		{"used token", used, "S-222", 401, agentapi.CodeToken},
		{"expired token", late, "S-222", 401, agentapi.CodeToken},
		{"revoked token", revoked, "S-222", 401, agentapi.CodeToken},
		{"token for another serial number", forSerial, "S-222", 403, agentapi.CodeTokenDevice},
		{"token for another device", forMac, "S-222", 403, agentapi.CodeTokenDevice},
		{"hardware that was retired", open, "S-LOST", 403, agentapi.CodeRetired},
	} {
		if status, code := w.machine(tt.serial).enrol(tt.token); status != tt.status || code != tt.code {
			t.Errorf("%s: %d %q, want %d %q", tt.what, status, code, tt.status, tt.code)
		}
	}
	// None of that used the tokens up.
	for token, serial := range map[string]string{forSerial: "s-777", forMac: "S-MAC", open: "S-3"} {
		w.machine(serial).mustEnrol(token)
	}
	if log := w.log.String(); strings.Contains(log, "gpe_") || !strings.Contains(log, `"reason":"token_invalid"`) {
		t.Errorf("log: %s", log)
	}
}

// TestEnrollMalformed: bad requests and keys, none of which uses the token.
func TestEnrollMalformed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token(devices.NewToken{})
	_, csr := newCSR(t)
	good := marshal(t, agentapi.EnrollRequest{Token: token, CSR: csr})
	tampered := strings.Replace(csr, "MI", "MJ", 1)
	for what, tt := range map[string]struct {
		body   string
		status int
	}{
		"no JSON":       {"token", 400},
		"null":          {" null ", 400},
		"empty":         {"", 400},
		"unknown name":  {strings.Replace(good, `"token"`, `"x":1,"token"`, 1), 400},
		"other case":    {strings.Replace(good, `"token"`, `"Token"`, 1), 400},
		"name twice":    {strings.Replace(good, `"token"`, `"token":"a","token"`, 1), 400},
		"trailing":      {good + "{}", 400},
		"not UTF-8":     {strings.Replace(good, token, "\xff", 1), 400},
		"no token":      {marshal(t, agentapi.EnrollRequest{CSR: csr}), 422},
		"no CSR":        {marshal(t, agentapi.EnrollRequest{Token: token}), 422},
		"CSR no PEM":    {marshal(t, agentapi.EnrollRequest{Token: token, CSR: "x"}), 422},
		"CSR tampered":  {marshal(t, agentapi.EnrollRequest{Token: token, CSR: tampered}), 422},
		"control":       {marshal(t, agentapi.EnrollRequest{Token: token, CSR: csr, Device: agentapi.Device{Serial: "a\x00b"}}), 422},
		"serial padded": {marshal(t, agentapi.EnrollRequest{Token: token, CSR: csr, Device: agentapi.Device{Serial: " a"}}), 422},
		"too large":     {strings.Repeat(" ", agentapi.MaxBody) + good, 413},
	} {
		if status, problem, _ := w.post(agentapi.EnrollPath, nil, tt.body, nil); status != tt.status {
			t.Errorf("%s: %d %+v, want %d", what, status, problem, tt.status)
		}
	}
	if status, problem, _ := w.post(agentapi.EnrollPath, nil, good, &agentapi.Enrollment{}); status != http.StatusCreated {
		t.Errorf("the good one: %d %+v", status, problem)
	}
	// The same key again is refused, whatever the token.
	again := marshal(t, agentapi.EnrollRequest{Token: w.token(devices.NewToken{}), CSR: csr})
	if status, problem, _ := w.post(agentapi.EnrollPath, nil, again, nil); status != http.StatusConflict || problem.Code != agentapi.CodeKeyInUse {
		t.Errorf("key in use: %d %+v", status, problem)
	}
}

func TestEnrollOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token(devices.NewToken{})
	var won atomic.Int32
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 100 {
		m := w.machine("")
		wg.Go(func() {
			<-start
			switch status, code := m.enrol(token); {
			case status == http.StatusCreated:
				won.Add(1)
			case status != http.StatusUnauthorized || code != agentapi.CodeToken:
				t.Errorf("%d %q", status, code)
			}
		})
	}
	close(start)
	wg.Wait()
	all, err := w.records.Devices(t.Context(), "", 10)
	if err != nil || won.Load() != 1 || len(all) != 1 {
		t.Errorf("%d of 100 uses of a token succeeded, %d devices: %v", won.Load(), len(all), err)
	}
}

// TestEnrollJoins: the hardware of an import is found, unless that is doubtful.
func TestEnrollJoins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(imported("asset-1", "PF3JOIN", "Dell"))
	w.add(imported("asset-2", "PF3TWICE", "Dell"))
	w.add(imported("asset-3", "PF3TWICE", "Dell"))
	w.add(imported("asset-4", "PF3MAKER", "Lenovo"))
	w.add(imported("asset-5", "Default string", "Dell"))
	m := w.machine("pf3join").mustEnrol(w.token(devices.NewToken{Owner: ""}))
	if d := w.device("asset-1"); m.answer.DeviceID != "asset-1" || m.answer.State != agentapi.Managed || d.Owner != "ann@example.com" || d.Serial != "PF3JOIN" {
		t.Errorf("%+v\n%+v", m.answer, d)
	}
	for _, serial := range []string{"PF3TWICE", "PF3MAKER", "Default string", ""} {
		if m := w.machine(serial).mustEnrol(w.token(devices.NewToken{})); m.answer.State != agentapi.Pending || strings.HasPrefix(m.answer.DeviceID, "asset") {
			t.Errorf("serial %q became %q, %s", serial, m.answer.DeviceID, m.answer.State)
		}
	}
}

// TestEnrollAnew: hardware finds its old record. Who an administrator named takes
// the other key's place at once; of two keys of which one only claims to be it
// neither counts until an administrator decides.
func TestEnrollAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.machine("PF3AGAIN").mustEnrol(w.token(devices.NewToken{Managed: true}))
	id := old.answer.DeviceID
	old.want("report", old.said(5), http.StatusAccepted, "")

	claims := w.machine("PF3AGAIN").mustEnrol(w.token(devices.NewToken{Managed: true}))
	if claims.answer.DeviceID != id || claims.answer.State != agentapi.Held {
		t.Fatalf("%+v", claims.answer)
	}
	claims.want("report with a held certificate", claims.said(6), http.StatusForbidden, agentapi.CodeSuspected)
	old.want("report of the one that was there", old.said(6), http.StatusForbidden, agentapi.CodeSuspected)
	if d := w.device(id); d.Contest == nil || d.Suspected == nil || w.judge(&d).Reason != posture.CloneSuspected {
		t.Errorf("contested: %+v", d)
	}

	// An administrator decides: first that it is the new one, then by a token.
	if _, err := w.decider.Release(t.Context(), id, ""); err == nil {
		t.Error("released without saying which key to keep")
	}
	if _, err := w.decider.Release(t.Context(), id, devices.KeepNew); err != nil {
		t.Fatal(err)
	}
	old.want("report of the key that was given up", old.said(7), http.StatusUnauthorized, agentapi.CodeCertificate)
	claims.want("report of the key that was kept", claims.said(7), http.StatusAccepted, "")

	third := w.machine("PF3AGAIN").mustEnrol(w.token(devices.NewToken{Serial: "PF3AGAIN"}))
	if third.answer.DeviceID != id || third.answer.State != agentapi.Managed || third.answer.Sequence != 7 {
		t.Errorf("%+v", third.answer)
	}
	claims.want("report of the key before", claims.said(8), http.StatusUnauthorized, agentapi.CodeCertificate)
	third.want("report that goes back", third.said(7), http.StatusConflict, agentapi.CodeSequence)
	third.want("report", third.said(8), http.StatusAccepted, "")

	// A second claim, turned down.
	claims = w.machine("PF3AGAIN").mustEnrol(w.token(devices.NewToken{}))
	if _, err := w.decider.Release(t.Context(), id, devices.KeepOld); err != nil {
		t.Fatal(err)
	}
	claims.want("report of the key that was turned down", claims.said(9), http.StatusUnauthorized, agentapi.CodeCertificate)
	third.want("report", third.said(9), http.StatusAccepted, "")

	// Once no agent's certificate is good any more, the hardware is enough.
	w.pass(91 * 24 * time.Hour)
	if m := w.machine("PF3AGAIN").mustEnrol(w.token(devices.NewToken{})); m.answer.DeviceID != id || m.answer.State == agentapi.Held {
		t.Errorf("%+v", m.answer)
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.machine("S-RENEW").mustEnrol(w.token(devices.NewToken{Managed: true}))
	renew := func(chain []*x509.Certificate, csr string) (agentapi.Renewal, int, agentapi.Code) {
		var answer agentapi.Renewal
		status, problem, _ := w.post(agentapi.RenewPath, chain, marshal(t, agentapi.RenewRequest{CSR: csr}), &answer)
		return answer, status, problem.Code
	}
	if _, status, code := renew(nil, "x"); status != http.StatusUnauthorized || code != agentapi.CodeCertificate {
		t.Errorf("without a certificate: %d %q", status, code)
	}
	w.pass(60 * 24 * time.Hour)
	if !w.now().After(m.answer.RenewAt.Add(-time.Hour)) {
		t.Errorf("to be renewed at %s", m.answer.RenewAt)
	}
	_, csr := newCSR(t)
	answer, status, _ := renew(m.chain, csr)
	leaf := parsePEM(t, answer.Certificate)
	if status != http.StatusCreated || leaf.URIs[0].String() != "urn:gatepost:device:"+m.answer.DeviceID || !answer.RenewAt.After(w.now()) {
		t.Fatalf("%d, %v, %s", status, leaf.URIs, answer.RenewAt)
	}
	if _, status, code := renew(m.chain, csr); status != http.StatusConflict || code != agentapi.CodeKeyInUse {
		t.Errorf("the same key: %d %q", status, code)
	}
	if _, status, code := renew(m.chain, "x"); status != http.StatusUnprocessableEntity || code != agentapi.CodeBadKey {
		t.Errorf("no CSR: %d %q", status, code)
	}
	former := m.chain
	m.chain = []*x509.Certificate{leaf}
	m.want("report with the new one", m.said(1), http.StatusAccepted, "")
	m.chain = former
	m.want("report with the old one, which browsers keep for a while", m.said(2), http.StatusAccepted, "")
	for range 6 {
		_, csr := newCSR(t)
		if _, status, code := renew(former, csr); status != http.StatusCreated {
			t.Fatalf("%d %q", status, code)
		}
	}
	_, csr = newCSR(t)
	if _, status, code := renew(former, csr); status != http.StatusTooManyRequests || code != agentapi.CodeTooOften {
		t.Errorf("a ninth certificate: %d %q", status, code)
	}
	w.pass(31 * 24 * time.Hour)
	m.want("report with the old one, expired", m.said(3), http.StatusUnauthorized, agentapi.CodeCertificate)
	m.chain = []*x509.Certificate{leaf}
	m.want("report with the new one", m.said(3), http.StatusAccepted, "")
	if _, err := w.actor.Retire(t.Context(), devices.Target{Device: m.answer.DeviceID}, ""); err != nil {
		t.Fatal(err)
	}
	m.want("report of a retired device", m.said(4), http.StatusUnauthorized, agentapi.CodeCertificate)
	if _, status, code := renew(m.chain, csr); status != http.StatusUnauthorized || code != agentapi.CodeCertificate {
		t.Errorf("renewal of a retired device: %d %q", status, code)
	}
	if list, err := w.records.Certificates(t.Context(), m.answer.DeviceID); err != nil || len(list) != 8 || list[0].Authority != certs.KeyHash(parsePEM(t, answer.Authority)) {
		t.Errorf("%+v, %v", list, err)
	}
}
