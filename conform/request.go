package conform

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"gatepost.dev/contract"
)

// Binding is how a request travels.
type Binding string

// The bindings (SAML bindings 3.4 and 3.5).
const (
	Redirect Binding = "redirect"
	Post     Binding = "post" // Okta's default
)

// RequestOptions says which request to make. The zero value is Okta's own:
// HTTP-POST, signed, for nobody in particular.
type RequestOptions struct {
	Binding    Binding // "": Post
	Subject    string  // NameID of the user; "": no Subject
	ForceAuthn bool
	AppContext *AppContext // nil: that of the configuration
	RelayState string

	// Sample shapes the request as the contract's published sample is, with the
	// NameIDPolicy before the Subject (which no schema allows) and the NameID
	// between line breaks.
	Sample   bool
	Unsigned bool

	// Factor asks for a factor of a sign-in, as Okta does of an IdP authenticator:
	// without ClassRefs it sends no RequestedAuthnContext.
	Factor bool

	// What tests set to something else than Okta would; "" and zero: Okta's.
	ID           string
	IssueInstant time.Time
	Destination  string // the attribute; the request is sent to the provider all the same
	ACS          string
	NameIDFormat string
	ClassRefs    []string
	Comparison   string                    // "": minimum, as in the sample
	Edit         func(root *etree.Element) // the last word before it is signed
}

// AuthnRequest is a request on its way.
type AuthnRequest struct {
	ID   string
	XML  []byte // as sent; with its signature when that is in it
	URL  string // of a Redirect; else ""
	Form Form   // of a Post
}

// Form is what the browser posts to the provider.
type Form struct{ Action, SAMLRequest, RelayState string }

// Request makes an AuthnRequest and remembers that its answer is awaited.
func (o *Okta) Request(opts RequestOptions) (*AuthnRequest, error) {
	if err := o.complete(&opts); err != nil {
		return nil, err
	}
	root := o.authnRequest(&opts)
	if opts.Edit != nil {
		opts.Edit(root)
	}
	req := &AuthnRequest{ID: opts.ID}
	var err error
	switch opts.Binding {
	case Post:
		err = o.post(req, root, &opts)
	case Redirect:
		err = o.redirect(req, root, &opts)
	default:
		err = fmt.Errorf("make a request: binding %q", opts.Binding)
	}
	if err != nil {
		return nil, err
	}
	o.remember(req.ID, sent{subject: opts.Subject, relayState: opts.RelayState, app: opts.AppContext, factor: opts.Factor, classes: opts.ClassRefs, comparison: opts.Comparison})
	return req, nil
}

// complete fills in what was left open.
func (o *Okta) complete(opts *RequestOptions) error {
	if opts.ID == "" {
		id, err := o.randomID()
		if err != nil {
			return err
		}
		opts.ID = id
	}
	if opts.Binding == "" {
		opts.Binding = Post
	}
	if opts.IssueInstant.IsZero() {
		opts.IssueInstant = o.cfg.Now()
	}
	if opts.Destination == "" {
		opts.Destination = o.ssoURL(opts.Binding)
	}
	if opts.ACS == "" {
		opts.ACS = o.cfg.ACS
	}
	if opts.AppContext == nil {
		opts.AppContext = o.cfg.SendAppContext
	}
	if opts.NameIDFormat == "" {
		opts.NameIDFormat = nameIDFormats[0]
	}
	if opts.ClassRefs == nil && !opts.Factor {
		opts.ClassRefs = []string{contract.DevicePosture}
	}
	if opts.Comparison == "" {
		opts.Comparison = "minimum"
	}
	return nil
}

// ssoURL is where a request of this binding goes.
func (o *Okta) ssoURL(b Binding) string {
	if b == Redirect && o.cfg.SSORedirect != "" {
		return o.cfg.SSORedirect
	}
	return o.cfg.SSOPost
}

// authnRequest builds the element. Okta declares the assertion's namespace on
// each element that is in it, and so does this.
func (o *Okta) authnRequest(opts *RequestOptions) *etree.Element {
	root := etree.NewElement("saml2p:AuthnRequest")
	root.CreateAttr("xmlns:saml2p", nsProtocol)
	root.CreateAttr("AssertionConsumerServiceURL", opts.ACS)
	root.CreateAttr("Destination", opts.Destination)
	if opts.ForceAuthn || !opts.Sample {
		root.CreateAttr("ForceAuthn", fmt.Sprint(opts.ForceAuthn))
	}
	root.CreateAttr("ID", opts.ID)
	root.CreateAttr("IssueInstant", opts.IssueInstant.UTC().Format("2006-01-02T15:04:05.000Z"))
	root.CreateAttr("Version", "2.0")
	assertionElement(root, "Issuer").SetText(o.cfg.EntityID)
	if opts.AppContext != nil {
		addAppContext(root, opts.AppContext)
	}
	subject := func() {
		if opts.Subject == "" {
			return
		}
		name := opts.Subject
		if opts.Sample {
			name = "\n" + name + "\n"
		}
		assertionElement(root, "Subject").CreateElement("saml2:NameID").SetText(name)
	}
	if !opts.Sample {
		subject()
	}
	root.CreateElement("saml2p:NameIDPolicy").CreateAttr("Format", opts.NameIDFormat)
	if opts.Sample {
		subject()
	}
	if len(opts.ClassRefs) == 0 && opts.Factor {
		return root
	}
	context := root.CreateElement("saml2p:RequestedAuthnContext")
	context.CreateAttr("Comparison", opts.Comparison)
	for _, ref := range opts.ClassRefs {
		assertionElement(context, "AuthnContextClassRef").SetText(ref)
	}
	return root
}

func assertionElement(parent *etree.Element, tag string) *etree.Element {
	el := parent.CreateElement("saml2:" + tag)
	el.CreateAttr("xmlns:saml2", nsAssertion)
	return el
}

// addAppContext writes the Extensions. Their elements' names are documented
// ("Send Okta application context"), their namespace is not; SAML core 3.2.1
// asks for one that is not SAML's.
func addAppContext(root *etree.Element, app *AppContext) {
	ext := root.CreateElement("saml2p:Extensions")
	for _, part := range []struct{ tag, text string }{
		{contract.AppInstanceID, app.InstanceID}, {contract.AppName, app.Name},
	} {
		el := ext.CreateElement("okta:" + part.tag)
		el.CreateAttr("xmlns:okta", "urn:okta:saml:2.0:ApplicationContext")
		el.SetText(part.text)
	}
}

// post signs inside of the element (SAML bindings 3.5.4).
func (o *Okta) post(req *AuthnRequest, root *etree.Element, opts *RequestOptions) error {
	if !opts.Unsigned {
		if err := o.signEnveloped(root); err != nil {
			return err
		}
	}
	req.XML = serialise(root)
	req.Form = Form{
		Action:      o.ssoURL(Post),
		SAMLRequest: base64.StdEncoding.EncodeToString(req.XML),
		RelayState:  opts.RelayState,
	}
	return nil
}

// signEnveloped puts the signature where SAML wants it, right after the Issuer.
// ConstructSignature is used because SignEnveloped appends the signature without
// telling it its parent, and moving it then doubles it; canonicalisation changes
// the element that it is given, hence the copy.
func (o *Okta) signEnveloped(root *etree.Element) error {
	ctx, err := dsig.NewSigningContext(o.cfg.Key, [][]byte{o.cfg.Certificate.Raw})
	if err != nil {
		return fmt.Errorf("sign the request: %w", err)
	}
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	sig, err := ctx.ConstructSignature(root.Copy(), true)
	if err != nil {
		return fmt.Errorf("sign the request: %w", err)
	}
	at := 0
	if issuer := root.SelectElement("Issuer"); issuer != nil {
		at = issuer.Index() + 1
	}
	root.InsertChildAt(at, sig)
	return nil
}

// redirect signs the query as it will be sent (SAML bindings 3.4.4.1).
func (o *Okta) redirect(req *AuthnRequest, root *etree.Element, opts *RequestOptions) error {
	req.XML = serialise(root)
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return fmt.Errorf("deflate the request: %w", err)
	}
	if _, err := w.Write(req.XML); err != nil {
		return fmt.Errorf("deflate the request: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("deflate the request: %w", err)
	}
	query := "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(packed.Bytes()))
	if opts.RelayState != "" {
		query += "&RelayState=" + url.QueryEscape(opts.RelayState)
	}
	if !opts.Unsigned {
		query += "&SigAlg=" + url.QueryEscape(dsig.RSASHA256SignatureMethod)
		digest := sha256.Sum256([]byte(query))
		sig, err := rsa.SignPKCS1v15(o.cfg.Rand, o.cfg.Key, crypto.SHA256, digest[:])
		if err != nil {
			return fmt.Errorf("sign the request: %w", err)
		}
		query += "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(sig))
	}
	to, separator := o.ssoURL(Redirect), "?"
	if strings.Contains(to, "?") {
		separator = "&"
	}
	req.URL = to + separator + query
	return nil
}

func serialise(root *etree.Element) []byte {
	doc := etree.NewDocument()
	doc.CreateProcInst("xml", `version="1.0" encoding="UTF-8"`)
	doc.SetRoot(root)
	return mustWrite(doc)
}
