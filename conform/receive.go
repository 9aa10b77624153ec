package conform

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/beevik/etree"

	"gatepost.dev/contract"
)

// Rejection says that a posted answer was refused: in Okta's own words to the
// user, and why in ours.
type Rejection struct {
	Rule  string // the ID of the rule that refused, for example "audience"
	Text  string // Okta's error text
	Cause error
}

func (r *Rejection) Error() string { return r.Text + " (" + r.Rule + ": " + r.Cause.Error() + ")" }

// Unwrap returns the cause.
func (r *Rejection) Unwrap() error { return r.Cause }

// SignIn is a genuine answer: a posture, or the provider's signed refusal.
type SignIn struct {
	RequestID     string
	ResponseID    string
	Status        string // top-level status code, a URI
	SubStatus     string // second-level status code, or ""
	StatusMessage string
	StatusDetail  string // the words in it

	// The rest is empty when the status is not Success.
	AssertionID  string
	Subject      string // the NameID
	ClassRef     string // the authentication context class
	Managed      bool   // in a factor always, for it says nothing of that but by being there
	Compliant    bool   // likewise; false as well when a posture does not say
	Device       contract.Device
	Facts        []contract.Fact
	Attestations []contract.Attestation
	AppContext   AppContext
	Encrypted    bool
	Seconded     bool // crewjam/saml's ServiceProvider was asked and agrees

	Response []byte // the XML as posted
}

// OK tells whether the status is Success.
func (s *SignIn) OK() bool { return s.Status == statusPrefix+"Success" }

const (
	statusPrefix = "urn:oasis:names:tc:SAML:2.0:status:"
	maxResponse  = 256 << 10 // bytes of XML; a contract's response has 5,000
)

// answer is one posted Response on its way through the rules.
type answer struct {
	o          *Okta
	now        time.Time
	posted     string
	relayState string

	xml       []byte
	root      *etree.Element // the Response; what was signed of it, once that is known
	rootCert  *x509.Certificate
	request   sent
	requestID string

	sealed    *etree.Element // the EncryptedAssertion
	algorithm string         // of it
	clear     *etree.Element // the Assertion as it came, its signature in it
	assertion *etree.Element // what was signed of it
	cert      *x509.Certificate
	audience  string // as found, for the error text

	signIn SignIn
}

// Receive judges what the browser posted to the assertion consumer service: the
// form's SAMLResponse (base64) and RelayState. A refused answer is a *Rejection
// and changes nothing; an accepted one, also a signed failure, closes its
// request.
func (o *Okta) Receive(samlResponse, relayState string) (*SignIn, error) {
	a := &answer{o: o, now: o.cfg.Now(), posted: samlResponse, relayState: relayState}
	if err := a.judge(messageRules); err != nil {
		return nil, err
	}
	rules := assertionRules
	if !a.signIn.OK() {
		rules = failureRules
	}
	if err := a.judge(rules); err != nil {
		return nil, err
	}
	// Another answer may have come in while this one was judged.
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, found := o.open.get(a.requestID); !found {
		return nil, a.reject(&ruleInResponseTo, errors.New("the request was answered meanwhile"))
	}
	if id := a.signIn.AssertionID; id != "" {
		if _, found := o.seen.get(id); found {
			return nil, a.reject(&ruleReplay, errors.New("it was accepted meanwhile"))
		}
		o.seen.put(id, struct{}{})
	}
	o.open.take(a.requestID)
	return &a.signIn, nil
}

// judge applies rules in order until one refuses.
func (a *answer) judge(rules []*rule) error {
	for _, r := range rules {
		if err := r.check(a); err != nil {
			return a.reject(r, err)
		}
	}
	return nil
}

func (a *answer) reject(r *rule, cause error) *Rejection {
	inResponseTo := ""
	if a.root != nil {
		inResponseTo = attr(a.root, "InResponseTo")
	}
	text := strings.NewReplacer(
		"{response}", a.signIn.ResponseID, "{inResponseTo}", inResponseTo, "{assertion}", a.signIn.AssertionID,
		"{found}", a.audience, "{expected}", a.o.cfg.EntityID,
	).Replace(r.text)
	return &Rejection{Rule: r.id, Text: text, Cause: cause}
}

// decode unwraps the form's field (SAML bindings 3.5.4: base64, line breaks
// allowed) and parses it.
func decode(a *answer) error {
	if base64.StdEncoding.DecodedLen(len(a.posted)) > maxResponse {
		return errors.New("the response is too large")
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(a.posted), ""))
	if err != nil {
		return err
	}
	a.xml, a.signIn.Response = raw, raw
	a.root, err = parse(raw)
	return err
}

// parse reads one well-formed element whose IDs are unique.
func parse(raw []byte) (*etree.Element, error) {
	if err := contract.WellFormed(raw); err != nil {
		return nil, err
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(raw); err != nil {
		return nil, err
	}
	if doc.Root() == nil {
		return nil, errors.New("there is no element")
	}
	seen := map[string]bool{}
	var twice error
	walk(doc.Root(), func(el *etree.Element) {
		// Device has an attribute ID as well; it is none of XML's IDs.
		id := attr(el, "ID")
		if id == "" || el.NamespaceURI() == contract.DevicePosture {
			return
		}
		if seen[id] {
			twice = errors.New("two elements have the same ID")
		}
		seen[id] = true
	})
	return doc.Root(), twice
}
