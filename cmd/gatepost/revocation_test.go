package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatepost.dev/certs/revocation"
	"gatepost.dev/conform"
)

// corpCA is a company's own authority, run by openssl.
type corpCA struct {
	t   *testing.T
	dir string
}

const corpConfig = `[ca]
default_ca = corp
[corp]
dir = .
database = index.txt
new_certs_dir = .
serial = serial
crlnumber = crlnumber
certificate = ca.crt
private_key = ca.key
default_md = sha256
default_days = 30
default_crl_days = 7
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
[device]
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
[responder]
keyUsage = critical,digitalSignature
extendedKeyUsage = OCSPSigning
`

func newCorpCA(t *testing.T, dir string) *corpCA {
	t.Helper()
	ca := &corpCA{t: t, dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"openssl.cnf": corpConfig, "index.txt": "", "serial": "1000\n", "crlnumber": "01\n"} {
		write(t, filepath.Join(dir, name), text)
	}
	ca.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "30",
		"-subj", "/CN=Corp devices", "-config", "openssl.cnf", "-extensions", "authority")
	return ca
}

func (ca *corpCA) openssl(args ...string) {
	ca.t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = ca.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		ca.t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
}

// issue makes NAME.crt and NAME.key, and NAME.pem of both.
func (ca *corpCA) issue(name, cn, extensions string) string {
	ca.t.Helper()
	ca.openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", name+".key", "-out", name+".csr", "-subj", "/CN="+cn, "-config", "openssl.cnf")
	ca.openssl("ca", "-batch", "-notext", "-config", "openssl.cnf", "-extensions", extensions, "-in", name+".csr", "-out", name+".crt")
	var both []byte
	for _, part := range []string{".crt", ".key"} {
		data, err := os.ReadFile(filepath.Join(ca.dir, name+part))
		if err != nil {
			ca.t.Fatal(err)
		}
		both = append(both, data...)
	}
	file := filepath.Join(ca.dir, name+".pem")
	write(ca.t, file, string(both))
	return file
}

func (ca *corpCA) revoke(name string) {
	ca.t.Helper()
	ca.openssl("ca", "-config", "openssl.cnf", "-revoke", name+".crt", "-crl_reason", "keyCompromise")
}

// list makes the revocation list, and puts it at path all at once.
func (ca *corpCA) list(path string) {
	ca.t.Helper()
	ca.openssl("ca", "-config", "openssl.cnf", "-gencrl", "-out", "new.crl")
	if err := os.Rename(filepath.Join(ca.dir, "new.crl"), path); err != nil {
		ca.t.Fatal(err)
	}
}

// respond lets openssl answer by OCSP. Its own server would listen on every
// address of the machine, so it gets the questions as files.
func (ca *corpCA) respond() *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dir, err := os.MkdirTemp(ca.dir, "ocsp-")
		if err != nil {
			panic(err)
		}
		question, answer := filepath.Join(dir, "question.der"), filepath.Join(dir, "answer.der")
		body, err := io.ReadAll(r.Body)
		if err := errors.Join(err, os.WriteFile(question, body, 0o600)); err != nil {
			panic(err)
		}
		cmd := exec.Command("openssl", "ocsp", "-index", "index.txt", "-CA", "ca.crt", "-rsigner", "responder.crt", "-rkey", "responder.key",
			"-nmin", "5", "-reqin", question, "-respout", answer)
		cmd.Dir = ca.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("%v: %s", err, out))
		}
		http.ServeFile(w, r, answer)
	}))
	ca.t.Cleanup(server.Close)
	return server
}

// companyInstallation is an installation that trusts a company's authority.
type companyInstallation struct {
	*installation
	t     *testing.T
	ca    *corpCA
	okta  *conform.Okta
	plain string // the configuration as it was made
}

func newCompanyInstallation(t *testing.T) *companyInstallation {
	t.Helper()
	in := &companyInstallation{t: t, installation: newInstallation(t)}
	in.ca = newCorpCA(t, filepath.Join(in.dir, "corp"))
	return in
}

func (in *companyInstallation) file(name string) string { return filepath.Join(in.dir, name) }

// configure names the authority in the configuration, with these keys.
func (in *companyInstallation) configure(keys ...string) {
	in.t.Helper()
	if in.plain == "" {
		in.plain = in.read(in.config)
	}
	const none = "  authorities: []\n"
	if !strings.Contains(in.plain, none) {
		in.t.Fatalf("the configuration is\n%s", in.plain)
	}
	item := "  authorities:\n    - certificate: ../corp/ca.crt\n      id_from: cn\n"
	for _, key := range keys {
		item += "      " + key + "\n"
	}
	write(in.t, in.file(in.config), strings.Replace(in.plain, none, item, 1))
}

func (in *companyInstallation) read(name string) string {
	in.t.Helper()
	text, err := os.ReadFile(in.file(name))
	if err != nil {
		in.t.Fatal(err)
	}
	return string(text)
}

// start serves, and lets the Okta know the provider.
func (in *companyInstallation) start() *background {
	in.t.Helper()
	server := in.serve(in.t)
	metadata, err := in.fetchMetadata()
	if err != nil {
		in.t.Fatal(err)
	}
	if in.okta, err = openOkta(in.file("okta"), metadata); err != nil {
		in.t.Fatal(err)
	}
	return server
}

// browser is one that counts its connections.
func (in *companyInstallation) browser(pem string) (*http.Client, *atomic.Int64) {
	in.t.Helper()
	client, err := deviceClient(pem)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(client.CloseIdleConnections)
	dialled := &atomic.Int64{}
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return client, dialled
}

// detail signs in: what Okta learns, "managed" or the reason of the refusal.
func (in *companyInstallation) detail(client *http.Client) string {
	in.t.Helper()
	request, err := in.okta.Request(conform.RequestOptions{Subject: "ann@example.com"})
	if err != nil {
		in.t.Fatal(err)
	}
	answer, err := oktaRoundTrip(client, in.okta, request)
	if err != nil {
		in.t.Fatal(err)
	}
	if answer.Managed && answer.Device.ID == "mac-1" {
		return "managed"
	}
	return answer.StatusDetail
}

func (in *companyInstallation) want(pem, want string) {
	in.t.Helper()
	client, _ := in.browser(pem)
	if got := in.detail(client); got != want {
		in.t.Errorf("the browser with %s is %q, want %q", filepath.Base(pem), got, want)
	}
}

func (in *companyInstallation) metrics() string {
	in.t.Helper()
	answer, err := browse(webClient(nil, nil), "GET", in.ops+"/metrics", "")
	if err != nil {
		in.t.Fatal(err)
	}
	return string(answer.body)
}

// TestRevocationList signs in with certificates of a company's own authority,
// revoked by openssl, on a connection that stays open.
func TestRevocationList(t *testing.T) {
	t.Parallel()
	in := newCompanyInstallation(t)
	lost, kept := in.ca.issue("lost", "mac-1", "device"), in.ca.issue("kept", "mac-1", "device")
	list := in.file("corp/corp.crl")
	in.ca.list(list)
	in.configure("crl: [../corp/corp.crl]")
	in.gatepost(t, "check")
	server := in.start()

	browser, dialled := in.browser(lost)
	if got := in.detail(browser); got != "managed" {
		t.Fatalf("before anything happened the device is %q", got)
	}
	in.ca.revoke("lost")
	in.ca.list(list)
	began := time.Now()
	if err := server.until("the revocation", func() bool { return in.detail(browser) == "revoked_certificate" }); err != nil {
		t.Fatal(err)
	}
	t.Logf("revoked %s after the list's change", time.Since(began))
	if dialled.Load() != 1 {
		t.Errorf("the browser connected %d times; an open connection was to be refused", dialled.Load())
	}
	in.want(kept, "managed")
	if metrics := in.metrics(); !strings.Contains(metrics, `gatepost_crl_revoked_certificates{authority="CN=Corp devices",source="`+list+`"} 1`) {
		t.Errorf("metrics are\n%s", metrics)
	}
	if decisions := in.gatepost(t, "decisions", "--json"); !strings.Contains(decisions, `"reason":"revoked_certificate"`) && !strings.Contains(decisions, `"reason": "revoked_certificate"`) {
		t.Errorf("decisions are\n%s", decisions)
	}

	// SHA-1 signs no list, whatever the authority thinks.
	in.ca.openssl("ca", "-config", "openssl.cnf", "-gencrl", "-md", "sha1", "-out", "sha1.crl")
	authority, err := readCertificate(in.file("corp/ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = revocation.ParseList([]byte(in.read("corp/sha1.crl")), authority, time.Now())
	if err == nil || !strings.Contains(err.Error(), `signature algorithm "SHA1-RSA" is not accepted`) {
		t.Errorf("a list by SHA-1: error %v", err)
	}

	// A reload reads the files anew: without the list nobody is known to be good,
	// while the built-in authority's devices go on.
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	if err := server.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := server.says(server.stderr, `"configuration reloaded"`, 1); err != nil {
		t.Fatal(err)
	}
	in.want(kept, "revocation_unknown")
	in.want(in.file("mac-1.pem"), "managed")
	if !strings.Contains(in.metrics(), `gatepost_crl_next_update_timestamp_seconds{authority="CN=Corp devices",source="`+list+`"} 0`) {
		t.Error("the metrics do not say that there is no list")
	}

	// It comes back by itself.
	in.ca.list(list)
	good, _ := in.browser(kept)
	if err := server.until("the list", func() bool { return in.detail(good) == "managed" }); err != nil {
		t.Fatal(err)
	}
	if err := server.stop(syscall.SIGTERM, 0); err != nil {
		t.Error(err)
	}
}

// TestRevocationListFetched fetches the list, and starts again without the
// network.
func TestRevocationListFetched(t *testing.T) {
	t.Parallel()
	in := newCompanyInstallation(t)
	lost, kept := in.ca.issue("lost", "mac-1", "device"), in.ca.issue("kept", "mac-1", "device")
	in.ca.revoke("lost")
	in.ca.list(in.file("corp.crl"))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, in.file("corp.crl")) }))
	defer web.Close()
	in.configure("crl: [" + web.URL + "/corp.crl]")
	server := in.start()
	if err := server.says(server.stderr, `"revocation list read"`, 1); err != nil {
		t.Fatal(err)
	}
	in.want(kept, "managed")
	in.want(lost, "revoked_certificate")
	if err := server.until("the copy", func() bool { files, _ := filepath.Glob(in.file("gp/crl/*.crl")); return len(files) == 1 }); err != nil {
		t.Fatal(err)
	}
	if err := server.stop(syscall.SIGTERM, 0); err != nil {
		t.Fatal(err)
	}
	web.Close()
	in.start()
	in.want(kept, "managed")
	in.want(lost, "revoked_certificate")
}

// TestRevocationByOCSP asks openssl's responder.
func TestRevocationByOCSP(t *testing.T) {
	t.Parallel()
	in := newCompanyInstallation(t)
	lost, kept := in.ca.issue("lost", "mac-1", "device"), in.ca.issue("kept", "mac-1", "device")
	other := in.ca.issue("other", "mac-1", "device")
	in.ca.issue("responder", "Responder", "responder")
	in.ca.revoke("lost")
	responder := in.ca.respond()
	in.configure("ocsp: " + responder.URL)
	server := in.start()
	in.want(kept, "managed")
	in.want(lost, "revoked_certificate")
	for _, result := range []string{"good", "revoked"} {
		if !strings.Contains(in.metrics(), fmt.Sprintf(`gatepost_ocsp_questions_total{result=%q} 1`, result)) {
			t.Errorf("the metrics do not count one question that was answered %s", result)
		}
	}

	// Without the responder there is no way in but for those who were asked about.
	responder.Close()
	in.want(kept, "managed")
	in.want(other, "revocation_unknown")
	text, err := os.ReadFile(server.stderr)
	if err != nil || !bytes.Contains(text, []byte("revocation not found out by OCSP")) {
		t.Errorf("the log does not say so (%v)\n%s", err, text)
	}

	// A responder that the authority did not make one cannot clear anybody: here
	// a device answers.
	write(t, in.file("corp/responder.crt"), in.read("corp/kept.crt"))
	write(t, in.file("corp/responder.key"), in.read("corp/kept.key"))
	in.configure("ocsp: " + in.ca.respond().URL)
	if err := server.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := server.says(server.stderr, `"configuration reloaded"`, 1); err != nil {
		t.Fatal(err)
	}
	in.want(other, "revocation_unknown")
	if err := server.says(server.stderr, "does not let it answer for the authority", 1); err != nil {
		t.Error(err)
	}
}
