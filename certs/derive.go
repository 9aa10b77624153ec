package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"math/big"
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

// DeriveSigner makes a P-256 key out of the authority's private key, as DeriveKey
// makes a secret. Bits beyond the order make what the remainder prefers too small
// to matter (FIPS 186-5 appendix A.2.1).
func (a *Authority) DeriveSigner(purpose string) (*ecdsa.PrivateKey, error) {
	secret, err := a.DeriveKey(purpose, 40)
	if err != nil {
		return nil, err
	}
	one := big.NewInt(1)
	d := new(big.Int).SetBytes(secret)
	d.Mod(d, new(big.Int).Sub(elliptic.P256().Params().N, one)).Add(d, one)
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, 32)))
	if err != nil {
		return nil, fmt.Errorf("derive a key for %q: %w", purpose, err)
	}
	return key, nil
}
