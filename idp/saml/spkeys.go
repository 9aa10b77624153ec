package saml

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
)

const (
	maxKeys    = 8
	minRSABits = 2048
	maxRSABits = 8192
)

// readKeys takes over the certificates, each for what its use attribute says;
// without one it is for both (SAML metadata 2.4.1.1). To encrypt, the first that
// says so is taken before one that is for both.
func (sp *ServiceProvider) readKeys(role *element) error {
	named := false
	for _, n := range role.nodes {
		if n.element == nil || !n.element.is(nsMetadata, "KeyDescriptor") {
			continue
		}
		use, hasUse := n.element.attr("use")
		if hasUse && use != "signing" && use != "encryption" {
			return fmt.Errorf("KeyDescriptor use is %.40q, not signing or encryption", use)
		}
		c, err := readCertificate(n.element)
		if err != nil {
			return err
		}
		if c == nil {
			continue // a key by name or by value only
		}
		if use != "encryption" {
			sp.Keys = append(sp.Keys, c)
		}
		if _, isRSA := c.PublicKey.(*rsa.PublicKey); isRSA && !named && (use == "encryption" || !hasUse && sp.Encryption == nil) {
			sp.Encryption, named = c, hasUse
		}
	}
	if len(sp.Keys) > maxKeys {
		return fmt.Errorf("more than %d signing certificates", maxKeys)
	}
	return nil
}

// readCertificate gives the certificate of a KeyDescriptor, or nil when there is
// none.
func readCertificate(e *element) (*x509.Certificate, error) {
	// The first certificate is the key's; what follows would be its issuers.
	var found *element
	e.walk(func(c *element) error {
		if found == nil && c.is(nsDSig, "X509Certificate") {
			found = c
		}
		return nil
	})
	if found == nil {
		return nil, nil
	}
	der, err := decodeText(found)
	if err != nil {
		return nil, errors.New("X509Certificate is not base64")
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("X509Certificate: %w", err)
	}
	if err := checkKey(c); err != nil {
		return nil, fmt.Errorf("certificate %q: %w", c.Subject, err)
	}
	return c, nil
}

func checkKey(c *x509.Certificate) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < minRSABits || n > maxRSABits {
			return fmt.Errorf("RSA key has %d bits; it must have %d to %d", n, minRSABits, maxRSABits)
		}
		return nil
	case *ecdsa.PublicKey:
		if n := key.Params().BitSize; n < 256 {
			return fmt.Errorf("EC key has %d bits; it must have at least 256", n)
		}
		return nil
	}
	return fmt.Errorf("key is %s; it must be RSA or ECDSA", c.PublicKeyAlgorithm)
}
