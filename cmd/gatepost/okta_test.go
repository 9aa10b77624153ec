package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"gatepost.dev/conform"
)

// The program okta is a simulated Okta for scripts:
//
//	okta init DIR                      makes okta.key, okta.crt and metadata.xml
//	okta sign-in DIR METADATA [flags]  one sign-in at the provider of that metadata
//
// sign-in prints what Okta makes of the answer, one "name: value" a line.
const (
	oktaEntityID = "https://www.okta.com/saml2/service-provider/spscript"
	oktaACS      = "https://acme.okta.com/sso/saml2/0oascript"
)

func oktaMain() {
	if err := okta(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "okta: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func okta(args []string, out io.Writer) error {
	if len(args) >= 2 && args[0] == "init" {
		return oktaInit(args[1])
	}
	if len(args) < 3 || args[0] != "sign-in" {
		return errors.New("usage: okta init DIR | sign-in DIR METADATA [flags]")
	}
	flags := flag.NewFlagSet("sign-in", flag.ContinueOnError)
	cert := flags.String("cert", "", "PEM file with the device's key and certificate")
	binding := flags.String("binding", "redirect", "redirect or post")
	user := flags.String("user", "user@example.com", "subject")
	app := flags.String("app", "", "ID and name of the application, as ID/NAME")
	choice := flags.String("choice", "", "what to choose on the page that explains what is wrong: check or continue; empty: there must be none")
	factor := flags.Bool("factor", false, "ask for a factor, as of an IdP authenticator")
	if err := flags.Parse(args[3:]); err != nil {
		return err
	}
	metadata, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	o, err := openOkta(args[1], metadata)
	if err != nil {
		return err
	}
	client, err := deviceClient(*cert)
	if err != nil {
		return err
	}
	options := conform.RequestOptions{Binding: conform.Binding(*binding), Subject: *user, Factor: *factor}
	if id, name, ok := strings.Cut(*app, "/"); ok {
		options.AppContext = &conform.AppContext{InstanceID: id, Name: name}
	}
	request, err := o.Request(options)
	if err != nil {
		return err
	}
	page, err := oktaSend(client, request)
	if err != nil {
		return err
	}
	if *choice != "" {
		if page, err = oktaChoose(client, page, *choice, out); err != nil {
			return err
		}
	}
	in, err := o.Receive(answerFields(page))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "status: %s\nsub: %s\nmessage: %s\ndetail: %s\nsubject: %s\nmanaged: %t\ncompliant: %t\ndevice: %s\nencrypted: %t\nseconded: %t\nclass: %s\n",
		in.Status, in.SubStatus, in.StatusMessage, in.StatusDetail, in.Subject, in.Managed, in.Compliant, in.Device.ID, in.Encrypted, in.Seconded, in.ClassRef)
	return nil
}

func oktaInit(dir string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "acme"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "okta.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600),
		os.WriteFile(filepath.Join(dir, "okta.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
	); err != nil {
		return err
	}
	o, err := openOkta(dir, nil)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "metadata.xml"), o.Metadata(), 0o600)
}

// openOkta is the Okta of the folder. Without a provider's metadata it can only
// tell its own.
func openOkta(dir string, metadata []byte) (*conform.Okta, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "okta.crt"), filepath.Join(dir, "okta.key"))
	if err != nil {
		return nil, err
	}
	c := conform.OktaConfig{
		EntityID: oktaEntityID, ACS: oktaACS, Key: pair.PrivateKey.(*rsa.PrivateKey), Certificate: pair.Leaf,
		IdPMetadata: metadata, Now: func() time.Time { return time.Now().UTC() },
	}
	if metadata == nil {
		c.Issuer, c.SSORedirect, c.Certificates = "https://idp.invalid", "https://idp.invalid/sso", []*x509.Certificate{pair.Leaf}
	}
	return conform.NewOkta(c)
}

// deviceClient is a browser with the key and certificate of the file, or none.
func deviceClient(file string) (*http.Client, error) {
	config := &tls.Config{InsecureSkipVerify: true} // trial certificates
	if file != "" {
		pair, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			return nil, err
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 128}, Timeout: 30 * time.Second}, nil
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)

// oktaRoundTrip brings the request to the provider and the answer to Okta.
func oktaRoundTrip(client *http.Client, o *conform.Okta, request *conform.AuthnRequest) (*conform.SignIn, error) {
	page, err := oktaSend(client, request)
	if err != nil {
		return nil, err
	}
	return o.Receive(answerFields(page))
}

// oktaSend brings the request to the provider and returns the page of its
// answer.
func oktaSend(client *http.Client, request *conform.AuthnRequest) ([]byte, error) {
	var resp *http.Response
	var err error
	if request.URL != "" {
		resp, err = client.Get(request.URL)
	} else {
		resp, err = client.PostForm(request.Form.Action, url.Values{"SAMLRequest": {request.Form.SAMLRequest}})
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the provider answered %s", resp.Status)
	}
	return page, nil
}

// oktaChoose prints what the page says is wrong, chooses on it, and returns the
// page that follows.
func oktaChoose(client *http.Client, page []byte, choice string, out io.Writer) ([]byte, error) {
	action := regexp.MustCompile(`<form method="post" action="([^"]*)"`).FindSubmatch(page)
	ticket := regexp.MustCompile(`name="ticket" value="([^"]*)"`).FindSubmatch(page)
	if action == nil || ticket == nil {
		return nil, errors.New("the provider explains nothing")
	}
	for _, m := range regexp.MustCompile(`<h3[^>]*>([^<]*)`).FindAllSubmatch(page, -1) {
		fmt.Fprintf(out, "explained: %s\n", html.UnescapeString(string(m[1])))
	}
	resp, err := client.PostForm(html.UnescapeString(string(action[1])), url.Values{"ticket": {string(ticket[1])}, "choice": {choice}})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the provider answered %s", resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// answerFields reads the form of an answer's page.
func answerFields(page []byte) (samlResponse, relayState string) {
	fields := map[string]string{}
	for _, m := range hiddenField.FindAllSubmatch(page, -1) {
		fields[string(m[1])] = html.UnescapeString(string(m[2]))
	}
	return fields["SAMLResponse"], fields["RelayState"]
}
