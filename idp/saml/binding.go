package saml

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"io"
	"net/url"
	"strings"
	"sync"
	"unicode/utf8"
)

// Bounds of what is decoded, in bytes. They are checked before any work on what
// they bound.
const (
	maxForm       = 128 << 10 // a query string or a form body, encoded
	maxRedirect   = 16 << 10  // an encoded SAMLRequest of the HTTP-Redirect binding; they have about 1 KB
	maxSignature  = 8 << 10   // encoded
	maxRelayState = 8 << 10   // decoded; Okta's hold a URL, far above the standard's 80
)

// deflateEncoding is the only encoding of the HTTP-Redirect binding (SAML
// bindings 3.4.4.1).
const deflateEncoding = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE"

// Message is a decoded and strictly scanned AuthnRequest whose sender is not yet
// believed.
type Message struct {
	parts
	issuer        string
	relayState    string
	hasRelayState bool
	redirect      *redirectSignature // nil: not signed, or an enveloped signature
}

// redirectSignature is a signature of the HTTP-Redirect binding.
type redirectSignature struct {
	octets    string // what was signed, as sent
	algorithm string
	value     []byte
}

// Issuer is the entity ID of whoever the message claims to come from, to look
// the relying party up by. Only Check makes it more than a claim.
func (m *Message) Issuer() string { return m.issuer }

// DecodeRedirect decodes a message of the HTTP-Redirect binding (SAML bindings
// 3.4.4) from the query string as it was sent: a signature covers the encoded
// values. Parameters that the binding does not name are ignored. Errors are
// *BadRequest.
func DecodeRedirect(rawQuery string) (*Message, error) {
	form, err := parseForm(rawQuery)
	if err != nil {
		return nil, err
	}
	if e, ok := form["SAMLEncoding"]; ok {
		if e, err := url.QueryUnescape(e); err != nil || e != deflateEncoding {
			return nil, bad("encoding_unsupported", "SAMLEncoding %.80q", e)
		}
	}
	deflated, err := form.base64("SAMLRequest", maxRedirect)
	if err != nil {
		return nil, err
	}
	i := inflaters.Get().(*inflater)
	defer inflaters.Put(i)
	document, err := i.inflate(deflated)
	if err != nil {
		return nil, err
	}
	m, err := newMessage(document, form)
	if err != nil {
		return nil, err
	}
	if m.signature != nil {
		// SAML bindings 3.4.4.1: it must have been removed.
		return nil, bad("signature_misplaced", "ds:Signature in a message of the HTTP-Redirect binding")
	}
	m.redirect, err = form.signature()
	return m, err
}

// DecodePost decodes a message of the HTTP-POST binding (SAML bindings 3.5.4)
// from an application/x-www-form-urlencoded body. Errors are *BadRequest.
func DecodePost(body []byte) (*Message, error) {
	form, err := parseForm(string(body))
	if err != nil {
		return nil, err
	}
	for _, name := range [...]string{"SigAlg", "Signature"} {
		if _, ok := form[name]; ok {
			// HTTP-POST-SimpleSign: to overlook its signature would be to take the
			// message for an unsigned one.
			return nil, bad("binding_unsupported", "parameter %q in a form", name)
		}
	}
	document, err := form.base64("SAMLRequest", maxForm)
	if err != nil {
		return nil, err
	}
	return newMessage(document, form)
}

func newMessage(document []byte, form form) (*Message, error) {
	root, err := scan(document, requestLimits)
	if err != nil {
		return nil, err
	}
	if err := checkIDs(root); err != nil {
		return nil, err
	}
	m := &Message{}
	if m.parts, err = split(root); err != nil {
		return nil, err
	}
	if m.issuer, err = readIssuer(m.parts.issuer); err != nil {
		return nil, err
	}
	m.relayState, m.hasRelayState, err = form.relayState()
	return m, err
}

// form holds the parameters that the bindings name, still encoded.
type form map[string]string

func parseForm(s string) (form, error) {
	if len(s) > maxForm {
		return nil, bad("too_large", "parameters are %d bytes, at most %d are read", len(s), maxForm)
	}
	f := make(form, 4)
	for s != "" {
		var pair string
		pair, s, _ = strings.Cut(s, "&")
		name, value, _ := strings.Cut(pair, "=")
		if !isParameter(name) {
			// An encoded name would hide a Signature from us that another reader
			// sees.
			if plain, err := url.QueryUnescape(name); err == nil && isParameter(plain) {
				return nil, bad("malformed", "parameter name %.80q is encoded", name)
			}
			continue
		}
		if _, twice := f[name]; twice {
			return nil, bad("duplicate_parameter", "parameter %q is given twice", name)
		}
		f[name] = value
	}
	return f, nil
}

// isParameter tells whether a binding has a parameter of this name.
func isParameter(name string) bool {
	switch name {
	case "SAMLRequest", "RelayState", "SigAlg", "Signature", "SAMLEncoding":
		return true
	}
	return false
}

// base64 decodes a parameter that must be there and has at most limit bytes,
// still encoded.
func (f form) base64(name string, limit int) ([]byte, error) {
	raw, ok := f[name]
	if !ok || raw == "" {
		return nil, bad("parameter_missing", "no parameter %q", name)
	}
	if len(raw) > limit {
		return nil, bad("too_large", "parameter %q is %d bytes, at most %d are read", name, len(raw), limit)
	}
	text, err := url.QueryUnescape(raw)
	if err != nil {
		return nil, bad("malformed", "parameter %q: %.80s", name, err)
	}
	value, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, bad("malformed", "parameter %q: %w", name, err)
	}
	return value, nil
}

func (f form) relayState() (value string, ok bool, err error) {
	raw, ok := f["RelayState"]
	if !ok {
		return "", false, nil
	}
	if len(raw) > 3*maxRelayState {
		return "", false, bad("too_large", "RelayState is %d bytes, encoded", len(raw))
	}
	value, err = url.QueryUnescape(raw)
	switch {
	case err != nil:
		return "", false, bad("malformed", "RelayState: %.80s", err)
	case len(value) > maxRelayState:
		return "", false, bad("too_large", "RelayState is %d bytes, at most %d are echoed", len(value), maxRelayState)
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return "", false, bad("malformed", "RelayState that no form can echo")
	}
	return value, true, nil
}

// signature gives what SigAlg and Signature say, or nil when there is neither
// (SAML bindings 3.4.4.1).
func (f form) signature() (*redirectSignature, error) {
	algorithm, hasAlgorithm := f["SigAlg"]
	_, hasValue := f["Signature"]
	if !hasAlgorithm && !hasValue {
		return nil, nil
	}
	if !hasAlgorithm || !hasValue {
		return nil, bad("signature_incomplete", "SigAlg and Signature go together")
	}
	value, err := f.base64("Signature", maxSignature)
	if err != nil {
		return nil, err
	}
	s := &redirectSignature{value: value, octets: "SAMLRequest=" + f["SAMLRequest"]}
	if relayState, ok := f["RelayState"]; ok {
		s.octets += "&RelayState=" + relayState
	}
	s.octets += "&SigAlg=" + algorithm
	if s.algorithm, err = url.QueryUnescape(algorithm); err != nil {
		return nil, bad("malformed", "SigAlg: %.80s", err)
	}
	return s, nil
}

// inflater holds what one decompression needs; setting it up costs more than
// using it.
type inflater struct {
	source   bytes.Reader
	reader   io.ReadCloser
	document []byte
}

var inflaters = sync.Pool{New: func() any {
	return &inflater{reader: flate.NewReader(nil), document: make([]byte, requestLimits.bytes+1)}
}}

// inflate decompresses a whole DEFLATE stream (RFC 1951). What it returns is
// good until the inflater is used again.
func (i *inflater) inflate(deflated []byte) ([]byte, error) {
	i.source.Reset(deflated)
	if err := i.reader.(flate.Resetter).Reset(&i.source, nil); err != nil {
		return nil, bad("malformed", "inflate: %w", err)
	}
	n, err := io.ReadFull(i.reader, i.document)
	switch {
	case err == nil:
		return nil, bad("too_large", "inflates to more than %d bytes", requestLimits.bytes)
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return nil, bad("malformed", "inflate: %w", err)
	}
	// ReadFull says the same of a stream that ends and of one that breaks off.
	if _, err := i.reader.Read(i.document[n:]); err != io.EOF {
		return nil, bad("malformed", "inflate: %w", err)
	}
	if i.source.Len() > 0 {
		return nil, bad("trailing_bytes", "%d bytes after the DEFLATE stream", i.source.Len())
	}
	return i.document[:n], nil
}
