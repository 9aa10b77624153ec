package certs

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
)

// DeriveKey makes a secret of size bytes out of the authority's private key, by
// HKDF with SHA-256 (RFC 5869): the same for the same purpose wherever and
// whenever that key is, another for every other purpose. Nothing of the private
// key can be learnt from it.
func (a *Authority) DeriveKey(purpose string, size int) ([]byte, error) {
	secret, err := x509.MarshalPKCS8PrivateKey(a.signer)
	if err != nil {
		return nil, fmt.Errorf("derive a key for %q: %w", purpose, err)
	}
	return hkdf.Key(sha256.New, secret, nil, purpose, size)
}
