// Package conform plays Okta against any identity provider, by SAML and by
// OpenID Connect: it asks for a device's posture as Okta asks and judges the
// answer as Okta judges it, with Okta's own error texts where they are known.
//
// It is neither Okta nor a relying party for anybody's sign-ins, and it knows no
// provider from within: it must not import package idp, or it would find right
// whatever that does.
package conform

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/url"
	"path"
	"sync"
	"time"
)

// Scope says which signature Okta insists on ("Response or Assertion
// verification"). Whichever else is there must be good as well.
type Scope string

// The scopes, as Okta's API names them (IdP API, response.signature.scope).
const (
	ScopeAny      Scope = "ANY"      // the default
	ScopeResponse Scope = "RESPONSE" // the Response's own
	ScopeToken    Scope = "TOKEN"    // the Assertion's own
)

// AppContext is the application that Okta asks for ("Send Okta application
// context"). It must come back verbatim.
type AppContext struct {
	InstanceID string
	Name       string
}

// OktaConfig is one identity provider as an administrator would enter it into
// Okta's console, and the org that asks.
type OktaConfig struct {
	EntityID    string            // https://www.okta.com/saml2/service-provider/sp...
	ACS         string            // https://ORG/sso/saml2/IDPID, an absolute URL
	Key         *rsa.PrivateKey   // signs requests and decrypts assertions
	Certificate *x509.Certificate // of Key

	// IdPMetadata is the provider's metadata. What is typed in beside it wins,
	// as each can be typed in alone in Okta's console.
	IdPMetadata  []byte
	Issuer       string              // exact, trailing slash and all
	SSORedirect  string              // single sign-on URL of the HTTP-Redirect binding
	SSOPost      string              // of the HTTP-POST binding; "": SSORedirect
	Certificates []*x509.Certificate // the provider's signing certificates; Okta holds two

	Signature      Scope       // "": ScopeAny
	SendAppContext *AppContext // sent with every request that names no other; nil: none
	ClockSkew      time.Duration

	// Now is the clock. crewjam/saml reads the process's own clock and has
	// package variables for its leeway; while the two clocks differ by more
	// than a second its opinion is not asked (SignIn.Seconded).
	Now  func() time.Time
	Rand io.Reader    // nil: crypto/rand.Reader
	Log  *slog.Logger // for Handler; nil: nothing is logged
}

// Okta is a SAML service provider as Okta is one. It is safe for concurrent use.
type Okta struct {
	cfg   OktaConfig
	acs   *url.URL
	idpID string

	mu   sync.Mutex
	open recent[sent]     // requests without an accepted answer, by ID
	seen recent[struct{}] // IDs of the assertions that were accepted
}

// sent is what an answer is compared with.
type sent struct {
	subject    string
	relayState string
	app        *AppContext
	factor     bool     // not a posture, but a factor
	classes    []string // authentication context classes that were asked for
	comparison string
}

// What is remembered, so that no flood of requests fills the memory.
const (
	maxOpen = 4096
	maxSeen = 16384
)

// NewOkta checks the configuration and returns an Okta that trusts this one
// provider.
func NewOkta(cfg OktaConfig) (*Okta, error) {
	if cfg.EntityID == "" || cfg.Key == nil || cfg.Certificate == nil || cfg.Now == nil {
		return nil, errors.New("configure okta: entity ID, key, certificate and clock are required")
	}
	if pub, ok := cfg.Certificate.PublicKey.(*rsa.PublicKey); !ok || !cfg.Key.PublicKey.Equal(pub) {
		return nil, errors.New("configure okta: the certificate is not of the key")
	}
	acs, err := url.Parse(cfg.ACS)
	if err != nil || acs.Host == "" || len(acs.Path) < 2 || acs.RawQuery != "" {
		return nil, fmt.Errorf("configure okta: assertion consumer service %q is not an absolute URL with a path", cfg.ACS)
	}
	if len(cfg.IdPMetadata) > 0 {
		if err := cfg.readMetadata(); err != nil {
			return nil, fmt.Errorf("configure okta: %w", err)
		}
	}
	if cfg.SSOPost == "" {
		cfg.SSOPost = cfg.SSORedirect
	}
	if cfg.Issuer == "" || cfg.SSOPost == "" || len(cfg.Certificates) == 0 {
		return nil, errors.New("configure okta: issuer, single sign-on URL and signing certificate of the provider are required")
	}
	for _, c := range cfg.Certificates {
		if _, ok := c.PublicKey.(*rsa.PublicKey); !ok {
			return nil, fmt.Errorf("configure okta: signing certificate %q is not RSA, which is all that Okta takes", c.Subject)
		}
	}
	switch cfg.Signature {
	case "":
		cfg.Signature = ScopeAny
	case ScopeAny, ScopeResponse, ScopeToken:
	default:
		return nil, fmt.Errorf("configure okta: signature scope %q", cfg.Signature)
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Okta{
		cfg: cfg, acs: acs, idpID: path.Base(acs.Path),
		open: recent[sent]{limit: maxOpen}, seen: recent[struct{}]{limit: maxSeen},
	}, nil
}

// remember notes a request that was sent.
func (o *Okta) remember(id string, s sent) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open.put(id, s)
}

// waiting tells what was sent under this ID, if its answer is still awaited.
func (o *Okta) waiting(id string) (sent, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open.get(id)
}

// processed tells whether an assertion of this ID was accepted before.
func (o *Okta) processed(assertionID string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, found := o.seen.get(assertionID)
	return found
}

// recent is a map that forgets its oldest keys beyond limit.
type recent[V any] struct {
	limit int
	m     map[string]V
	order []string // oldest first; may hold keys that were taken
}

func (r *recent[V]) get(key string) (V, bool) {
	v, found := r.m[key]
	return v, found
}

func (r *recent[V]) put(key string, v V) {
	if r.m == nil {
		r.m = make(map[string]V)
	}
	if _, found := r.m[key]; !found {
		r.order = append(r.order, key)
	}
	r.m[key] = v
	for len(r.order) > r.limit {
		delete(r.m, r.order[0])
		r.order = r.order[1:]
	}
}

// take removes key. Its place in the order is left to run out.
func (r *recent[V]) take(key string) { delete(r.m, key) }

// randomID makes an ID as Okta's look: "id" and 27 digits.
func (o *Okta) randomID() (string, error) {
	n, err := rand.Int(o.cfg.Rand, new(big.Int).Exp(big.NewInt(10), big.NewInt(27), nil))
	if err != nil {
		return "", fmt.Errorf("make a request's ID: %w", err)
	}
	return fmt.Sprintf("id%027d", n), nil
}
