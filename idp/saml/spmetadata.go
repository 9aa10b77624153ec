package saml

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ServiceProvider is what a relying party's metadata say of it (SAML metadata
// 2.4.4).
type ServiceProvider struct {
	EntityID           string
	AssertionConsumers []AssertionConsumer // at least one
	// Keys are the certificates of the keys that sign requests. Each stands for
	// its key: dates and issuer do not matter.
	Keys           []*x509.Certificate
	Encryption     *x509.Certificate // with an RSA key; nil when there is none
	RequestsSigned bool              // AuthnRequestsSigned: an unsigned request is not theirs
	WantsSigned    bool              // WantAssertionsSigned
	ValidUntil     time.Time         // zero when the metadata have no end
	// AllowSHA1 lets requests be signed over a SHA-1 digest. It is not in the
	// metadata: an administrator may set it for a relying party that cannot do
	// better.
	AllowSHA1 bool
	// Use is what its requests can ask for. It is not in the metadata either.
	Use Use
}

// AssertionConsumer is an endpoint for answers, with the HTTP-POST binding.
type AssertionConsumer struct {
	URL     string
	Index   int
	Default bool // for requests that name none; ParseMetadata sets it on exactly one
}

// Bounds of metadata, which an administrator hands in.
var metadataLimits = limits{
	bytes: 1 << 20, run: 256 << 10, depth: 64, elements: 20_000, attributes: 64, total: 100_000, scope: 256, comments: true,
}

// ParseMetadata reads the metadata of one service provider, alone or inside an
// EntitiesDescriptor. It fetches nothing and verifies no signature: whoever
// hands the metadata in vouches for them. Whether they are still valid is for
// Expired to say.
func ParseMetadata(data []byte) (*ServiceProvider, error) {
	root, err := scan(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), metadataLimits)
	if err != nil {
		if b := (*BadRequest)(nil); errors.As(err, &b) && b.Err != nil {
			err = b.Err
		}
		return nil, fmt.Errorf("metadata are not acceptable XML: %w", err)
	}
	role, err := findRole(root)
	if err != nil {
		return nil, err
	}
	sp := &ServiceProvider{}
	sp.EntityID, _ = role.parent.attr("entityID")
	if sp.EntityID == "" || len(sp.EntityID) > maxEntityID {
		return nil, fmt.Errorf("entityID %.100q must have 1 to %d characters", sp.EntityID, maxEntityID)
	}
	if err := sp.read(role); err != nil {
		return nil, fmt.Errorf("metadata of %q: %w", sp.EntityID, err)
	}
	return sp, nil
}

// Expired tells why metadata may not be registered at now: their validUntil has
// passed (SAML metadata 2.3.1).
func (sp *ServiceProvider) Expired(now time.Time) error {
	if sp.ValidUntil.IsZero() || now.Before(sp.ValidUntil) {
		return nil
	}
	return fmt.Errorf("metadata of %q were valid until %s; fetch them anew", sp.EntityID, sp.ValidUntil.Format(time.RFC3339))
}

// findRole finds the one SPSSODescriptor for SAML 2.0.
func findRole(root *element) (*element, error) {
	if !root.is(nsMetadata, "EntityDescriptor") && !root.is(nsMetadata, "EntitiesDescriptor") {
		return nil, fmt.Errorf("root element is %q in %q, not EntityDescriptor in %q", root.local, root.space, nsMetadata)
	}
	var roles []*element
	err := root.walk(func(e *element) error {
		if !e.is(nsMetadata, "SPSSODescriptor") {
			return nil
		}
		if e.parent == nil || !e.parent.is(nsMetadata, "EntityDescriptor") {
			return errors.New("SPSSODescriptor outside of an EntityDescriptor")
		}
		protocols, _ := e.attr("protocolSupportEnumeration")
		for _, p := range strings.Fields(protocols) {
			if p == nsProtocol {
				roles = append(roles, e)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(roles) == 0:
		return nil, errors.New("metadata name no SAML 2.0 service provider (SPSSODescriptor); is this an identity provider's file?")
	case len(roles) > 1:
		return nil, fmt.Errorf("metadata name %d service providers; hand in a file with one", len(roles))
	}
	return roles[0], nil
}

func (sp *ServiceProvider) read(role *element) error {
	for e := role; e != nil; e = e.parent {
		v, ok := e.attr("validUntil")
		if !ok {
			continue
		}
		until, err := time.Parse(time.RFC3339, v)
		if err != nil {
			return fmt.Errorf("validUntil %.40q is not a time", v)
		}
		if sp.ValidUntil.IsZero() || until.Before(sp.ValidUntil) {
			sp.ValidUntil = until
		}
	}
	var err error
	if sp.RequestsSigned, err = attrBoolean(role, "AuthnRequestsSigned"); err != nil {
		return err
	}
	if sp.WantsSigned, err = attrBoolean(role, "WantAssertionsSigned"); err != nil {
		return err
	}
	if err := sp.readKeys(role); err != nil {
		return err
	}
	if sp.RequestsSigned && len(sp.Keys) == 0 {
		return errors.New("AuthnRequestsSigned is true, but there is no signing certificate to verify requests with")
	}
	return sp.readConsumers(role)
}

// readConsumers takes over the endpoints with the HTTP-POST binding, the only
// one that answers leave by, and settles which is the default: the first that
// says so, else the first that does not say otherwise, else the first (SAML
// metadata 2.2.3).
func (sp *ServiceProvider) readConsumers(role *element) error {
	best, bestRank := 0, -1
	for _, n := range role.nodes {
		e := n.element
		if e == nil || !e.is(nsMetadata, "AssertionConsumerService") {
			continue
		}
		if b, _ := e.attr("Binding"); b != BindingPost {
			continue
		}
		location, _ := e.attr("Location")
		if err := checkConsumer(location); err != nil {
			return err
		}
		v, _ := e.attr("index")
		index, err := strconv.ParseUint(v, 10, 16)
		if err != nil {
			return fmt.Errorf("index %.40q of AssertionConsumerService %q is not a number from 0 to 65535", v, location)
		}
		for _, a := range sp.AssertionConsumers {
			if a.Index == int(index) {
				return fmt.Errorf("AssertionConsumerService index %d is given twice", index)
			}
		}
		isDefault, err := attrBoolean(e, "isDefault")
		if err != nil {
			return err
		}
		rank := 1
		if _, says := e.attr("isDefault"); says && isDefault {
			rank = 2
		} else if says {
			rank = 0
		}
		if rank > bestRank {
			best, bestRank = len(sp.AssertionConsumers), rank
		}
		sp.AssertionConsumers = append(sp.AssertionConsumers, AssertionConsumer{URL: location, Index: int(index)})
	}
	if bestRank < 0 {
		return fmt.Errorf("there is no AssertionConsumerService with the binding %q", BindingPost)
	}
	sp.AssertionConsumers[best].Default = true
	return nil
}

// checkConsumer wants an absolute https URL; http only for this machine.
func checkConsumer(location string) error {
	u, err := url.Parse(location)
	switch {
	case err != nil, u.Host == "" || u.User != nil || u.Fragment != "", strings.TrimSpace(location) != location:
		return fmt.Errorf("AssertionConsumerService Location %.200q is not an absolute URL", location)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("AssertionConsumerService Location %.200q must be https", location)
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// defaultConsumer gives the endpoint for requests that name none.
func (sp *ServiceProvider) defaultConsumer() (string, error) {
	for _, a := range sp.AssertionConsumers {
		if a.Default {
			return a.URL, nil
		}
	}
	if len(sp.AssertionConsumers) > 0 {
		return sp.AssertionConsumers[0].URL, nil
	}
	return "", bad("acs_unknown", "relying party has no assertion consumer service")
}

func attrBoolean(e *element, name string) (bool, error) {
	v, err := e.boolean(name)
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, errors.Unwrap(err))
	}
	return v, nil
}
