package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/smallstep/scep"

	"gatepost.dev/certs"
)

// staticChallenge is one that all devices share, where a site has one.
const staticChallenge = "a-challenge-that-all-devices-share"

// scepSite is an installation that serves SCEP.
type scepSite struct {
	*installation
	ra *x509.Certificate
}

func newSCEPSite(t *testing.T, section string) *scepSite {
	t.Helper()
	in := newInstallation(t)
	write(t, filepath.Join(in.dir, "gp", "scep.challenge"), staticChallenge+"\n")
	if err := os.Chmod(filepath.Join(in.dir, "gp", "scep.challenge"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := editFile(filepath.Join(in.dir, in.config), "\ndevices:\n", "\ndevices:\n  scep: "+section+"\n"); err != nil {
		t.Fatal(err)
	}
	in.serve(t)
	s := &scepSite{installation: in}
	answer := s.ask(t, "GET", "operation=GetCACert", nil)
	found, err := wire.CACerts(answer)
	if err != nil || len(found) != 2 {
		t.Fatalf("GetCACert: %d certificates: %v", len(found), err)
	}
	s.ra = found[0]
	return s
}

// ask makes a request of SCEP, whose status must be 200.
func (s *scepSite) ask(t *testing.T, method, query string, body []byte) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.issuer+"/scep?"+query, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := webClient(nil, nil)
	defer client.CloseIdleConnections()
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %.200q %v", query, res.Status, answer, err)
	}
	return answer
}

// token is a challenge for one device.
func (s *scepSite) token(t *testing.T, device string) string {
	t.Helper()
	out := s.gatepost(t, "token", "create", "--kind", "enroll", "--device", device, "--json")
	var made struct {
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Secret == "" {
		t.Fatalf("token create: %v\n%s", err, out)
	}
	return made.Secret
}

// issued are the serial numbers of what was issued to the device by SCEP.
func (s *scepSite) issued(t *testing.T, device string) []string {
	t.Helper()
	var shown struct {
		Certificates []struct{ Serial, Channel string }
	}
	if err := json.Unmarshal([]byte(s.gatepost(t, "device", "show", device, "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	var serials []string
	for _, c := range shown.Certificates {
		if c.Channel == "scep" {
			serials = append(serials, c.Serial)
		}
	}
	slices.Sort(serials)
	return serials
}

// same demands that nothing was issued meanwhile.
func (s *scepSite) same(t *testing.T, what, device string, before []string) {
	t.Helper()
	if now := s.issued(t, device); !slices.Equal(now, before) {
		t.Errorf("%s: certificates by SCEP are %v, were %v", what, now, before)
	}
}

// signInWith signs in with the pair, and gives the serial number of the
// certificate.
func (s *scepSite) signInWith(t *testing.T, name, certificate, key string) string {
	t.Helper()
	write(t, filepath.Join(s.dir, name+".pem"), string(readAll(t, certificate))+string(readAll(t, key)))
	s.signIn(t, name)
	return serialOf(t, certificate)
}

func serialOf(t *testing.T, file string) string {
	t.Helper()
	block, _ := pem.Decode(readAll(t, file))
	if block == nil {
		t.Fatalf("%s holds no PEM", file)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c.SerialNumber.Text(16)
}

// scepclient is the Debian program, with its files in dir.
func (s *scepSite) scepclient(t *testing.T, dir, challenge string, more ...string) (string, error) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// It would encrypt to the ECDSA authority too, which ends in a panic.
	ra := sha256.Sum256(s.ra.Raw)
	cmd := exec.CommandContext(t.Context(), "scepclient", "-server-url", s.issuer+"/scep", "-challenge", challenge,
		"-ca-fingerprint", hex.EncodeToString(ra[:]), "-private-key", filepath.Join(dir, "key.pem"), "-certificate", filepath.Join(dir, "cert.pem"))
	cmd.Args = append(cmd.Args, more...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+filepath.Join(s.dir, "gp", "trial-ca.crt"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestSCEPClient(t *testing.T) {
	t.Parallel()
	s := newSCEPSite(t, "{ enabled: true, allow_des_and_sha1: true }") // it knows nothing else
	dir, challenge := filepath.Join(s.dir, "scepclient"), s.token(t, "mac-1")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if out, err := s.scepclient(t, dir, challenge); err != nil {
		t.Fatalf("enrol: %v\n%s", err, out)
	}
	first := s.signInWith(t, "first", cert, key)

	if out, err := s.scepclient(t, dir, ""); err != nil { // with a certificate it renews
		t.Fatalf("renew: %v\n%s", err, out)
	}
	second := s.signInWith(t, "second", cert, key)
	want := []string{first, second}
	slices.Sort(want)
	if got := s.issued(t, "mac-1"); first == second || !slices.Equal(got, want) {
		t.Errorf("certificates by SCEP are %v, want %v", got, want)
	}

	refused := func(what, out string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(out, "badRequest (2)") {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
		s.same(t, what, "mac-1", want)
	}
	out, err := s.scepclient(t, filepath.Join(s.dir, "again"), challenge)
	refused("a challenge that was used", out, err)

	foreign := filepath.Join(s.dir, "foreign")
	if err := os.MkdirAll(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	writeForeign(t, foreign)
	out, err = s.scepclient(t, foreign, "")
	refused("a renewal by the certificate of another authority", out, err)
	if !strings.Contains(out, "RenewalReq") {
		t.Errorf("that was no renewal:\n%s", out)
	}
}

// A challenge that all devices share enrols a device of the inventory by its serial
// number; what comes second is held, and the device is suspected then.
func TestSCEPStaticChallenge(t *testing.T) {
	t.Parallel()
	s := newSCEPSite(t, "{ enabled: true, allow_des_and_sha1: true, static_challenge_file: scep.challenge }")
	out, err := s.scepclient(t, filepath.Join(s.dir, "unknown"), staticChallenge, "-cn", "PF3UNKNOWN")
	if err == nil || !strings.Contains(out, "badRequest (2)") {
		t.Errorf("hardware that nobody knows: %v\n%s", err, out)
	}
	s.same(t, "hardware that nobody knows", "mac-1", nil)

	first := filepath.Join(s.dir, "first")
	if out, err := s.scepclient(t, first, staticChallenge, "-cn", "c02test1"); err != nil {
		t.Fatalf("enrol: %v\n%s", err, out)
	}
	serial := s.signInWith(t, "first", filepath.Join(first, "cert.pem"), filepath.Join(first, "key.pem"))
	s.same(t, "enrolled", "mac-1", []string{serial})

	if out, err := s.scepclient(t, filepath.Join(s.dir, "second"), staticChallenge, "-cn", "C02TEST1"); err != nil {
		t.Fatalf("a second key: %v\n%s", err, out)
	}
	var shown struct {
		Suspected    *struct{ Why string }
		Certificates []struct{ Held bool }
	}
	if err := json.Unmarshal([]byte(s.gatepost(t, "device", "show", "mac-1", "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, c := range shown.Certificates {
		if c.Held {
			held++
		}
	}
	if shown.Suspected == nil || held != 1 {
		t.Errorf("after a second key: suspected %v, %d held", shown.Suspected, held)
	}
	if out, err := s.scepclient(t, first, ""); err == nil || !strings.Contains(out, "badRequest (2)") {
		t.Errorf("a renewal of a suspect: %v\n%s", err, out)
	}
}

// writeForeign writes a pair that says it is a device's, of an authority that is not
// ours.
func writeForeign(t *testing.T, dir string) {
	t.Helper()
	authority, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, err2 := rsa.GenerateKey(rand.Reader, 2048)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "mac-1"}, URIs: []*url.URL{{Scheme: "urn", Opaque: "gatepost:device:mac-1"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "Another authority"}}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), authority)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
}

// The certificate that is good for a renewal is not for an UpdateReq.
func TestSCEPUpdateReq(t *testing.T) {
	t.Parallel()
	s := newSCEPSite(t, "{ enabled: true, allow_des_and_sha1: true }")
	dir := filepath.Join(s.dir, "scepclient")
	if out, err := s.scepclient(t, dir, s.token(t, "mac-1")); err != nil {
		t.Fatalf("enrol: %v\n%s", err, out)
	}
	before := s.issued(t, "mac-1")
	block, _ := pem.Decode(readAll(t, filepath.Join(dir, "key.pem")))
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	block, _ = pem.Decode(readAll(t, filepath.Join(dir, "cert.pem")))
	signer, err1 := x509.ParseCertificate(block.Bytes)
	der, err2 := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind wire.MessageType
		want wire.PKIStatus
	}{{wire.UpdateReq, wire.FAILURE}, {wire.RenewalReq, wire.SUCCESS}} {
		kind, want := c.kind, c.want
		m, err := wire.NewCSRRequest(csr, &wire.PKIMessage{
			MessageType: kind, Recipients: []*x509.Certificate{s.ra}, SignerCert: signer, SignerKey: key,
		})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := wire.ParsePKIMessage(s.ask(t, "POST", "operation=PKIOperation", m.Raw), wire.WithCACerts([]*x509.Certificate{s.ra}))
		if err != nil {
			t.Fatal(err)
		}
		if answer.PKIStatus != want || want == wire.FAILURE && answer.FailInfo != wire.BadRequest {
			t.Errorf("message type %s: status %q, failInfo %q", string(kind), answer.PKIStatus, string(answer.FailInfo))
		}
		if want == wire.FAILURE {
			s.same(t, "UpdateReq", "mac-1", before)
		}
	}
}

func TestSCEPIsOff(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.serve(t)
	for _, method := range []string{"GET", "POST"} {
		answer, err := browse(webClient(nil, nil), method, in.issuer+"/scep?operation=GetCACaps", "")
		if err != nil || answer.status != http.StatusNotFound {
			t.Errorf("%s: %+v, %v", method, answer, err)
		}
	}
	if _, err := os.Stat(filepath.Join(in.dir, "gp", "scep-ra.pem")); !os.IsNotExist(err) {
		t.Errorf("there is a key for SCEP: %v", err)
	}
}

// relay is a proxy before the issuer, without TLS: certmonger 0.79.17 verifies the
// TLS of its messages by the system's authorities alone, whatever it is told.
func (s *scepSite) relay(t *testing.T) string {
	t.Helper()
	to, err := url.Parse(s.issuer)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: webClient(nil, nil).Transport,
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

func TestSCEPCertmonger(t *testing.T) {
	t.Parallel()
	s := newSCEPSite(t, "{ enabled: true }")
	dir := t.TempDir()
	script, err := filepath.Abs("testdata/interop/scep/certmonger.sh")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "ra.pem"), string(certs.CertificatePEM(s.ra)))
	cmd := exec.CommandContext(t.Context(), "dbus-run-session", "--", "bash", script,
		s.relay(t)+"/scep", filepath.Join(dir, "ra.pem"), filepath.Join(s.dir, "gp", "device-ca.crt"), s.token(t, "mac-1"))
	// Also of the bus, which would start another daemon, with its own home.
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "server.stderr"))
		t.Fatalf("%v\n%s\n%s", err, out, log)
	}
	var want []string
	for _, n := range []string{"1", "2", "3"} {
		want = append(want, s.signInWith(t, "certmonger-"+n, filepath.Join(dir, n+".crt"), filepath.Join(dir, n+".key")))
	}
	if key := func(n string) string { return string(readAll(t, filepath.Join(dir, n+".key"))) }; key("1") != key("2") || key("2") == key("3") {
		t.Error("certmonger does not keep its key with resubmit, or does with rekey")
	}
	slices.Sort(want)
	if got := s.issued(t, "mac-1"); !slices.Equal(got, want) {
		t.Errorf("certificates by SCEP are %v, want %v", got, want)
	}
	if text := string(readAll(t, filepath.Join(dir, "refused.txt"))); !strings.Contains(text, "CA_REJECTED") {
		t.Errorf("a challenge that was used:\n%s", text)
	}
}
