package browser

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// provider is a server on loopback that asks for a certificate of these
// authorities, and shows the serial number of the one it gets.
func provider(t *testing.T, authorities ...authority) *httptest.Server {
	t.Helper()
	pool := x509.NewCertPool()
	for _, a := range authorities {
		pool.AddCert(a.cert)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serial := "none"
		if len(r.TLS.PeerCertificates) > 0 {
			serial = r.TLS.PeerCertificates[0].SerialNumber.String()
		}
		fmt.Fprintf(w, "<p id=serial>%s</p>", serial)
	}))
	s.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // Chromium drops its first handshake
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// shown is the serial number of the certificate that Chromium shows, in a
// process of its own: it reads its policies and certificates when it starts.
func shown(t *testing.T, u User, url string) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("this test needs Chromium (apt-get install chromium): ", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU,
		chromedp.Env("HOME="+u.Home), chromedp.UserDataDir(filepath.Join(u.Home, "profile")),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("ignore-certificate-errors", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, _ = chromedp.NewContext(ctx)
	defer func() {
		if err := chromedp.Cancel(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}()
	check(t, chromedp.Do(ctx, chromedp.Navigate(url), chromedp.WaitVisible("#serial")))
	text, err := chromedp.Run(ctx, chromedp.TextContent("#serial"))
	check(t, err)
	return strings.TrimSpace(text)
}

// TestChromium: the machine's Chromium shows the certificate at the provider
// without asking, the renewed one after a renewal, and none after Remove. Its
// policy folder is everybody's, so the file has a name, and the policy a port,
// of this test alone.
func TestChromium(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can write the policy")
		return
	}
	a, other := newAuthority(t, "Device CA"), newAuthority(t, "Other CA")
	u := me(t)
	l := linux(t, u)
	server := provider(t, a, other)
	// Two certificates fit what the server asks for, so that without the policy's
	// filter it would be anybody's guess.
	newDatabase(t, nssdb(u), "")
	importInto(t, nssdb(u), other.credential(t, "other", time.Second))

	l.Policy = fmt.Sprintf("gatepost-test-%d.json", os.Getpid())
	check(t, os.MkdirAll(filepath.Join(l.Root, "etc"), 0o755))
	check(t, os.Symlink("/etc/chromium", filepath.Join(l.Root, "etc", "chromium"))) // of the rest it has its own
	t.Cleanup(func() { _ = os.Remove(filepath.Join(policyFolders()[0], l.Policy)) })
	for _, age := range []time.Duration{time.Minute, 0} {
		c := a.credential(t, "d1", age)
		check(t, l.Install(t.Context(), c, server.URL+"/somewhere"))
		if got := shown(t, u, server.URL); got != c.Certificate.SerialNumber.String() {
			t.Errorf("it showed %s, want %s", got, c.Certificate.SerialNumber)
		}
	}
	check(t, l.Remove(t.Context()))
	if got := shown(t, u, provider(t, a).URL); got != "none" {
		t.Errorf("it still showed %s", got)
	}
}
