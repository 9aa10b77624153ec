package certs

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"
)

// pkcs12Iterations is OpenSSL's number, which every importer takes. More would
// not rescue a weak password.
const pkcs12Iterations = 2048

// EncodePKCS12 packs a key, its certificate and the authority's (nil: without)
// into a file that people import into a browser or an operating system; there
// it goes by the certificate's common name. The password is the file's only
// protection and a weak one, so make it random, of 80 bits and more.
//
// It encrypts by 3DES with a SHA-1 MAC (RFC 7292 appendix B): the Security
// framework of macOS refuses the newer AES and SHA-256 files as if the password
// were wrong, while NSS, OpenSSL and Windows read both.
func EncodePKCS12(key crypto.PrivateKey, cert, ca *x509.Certificate, password string) ([]byte, error) {
	if password == "" {
		return nil, errors.New("encode PKCS#12: no password")
	}
	signer, ok := key.(crypto.Signer)
	if !ok || !samePublicKey(cert, signer) {
		return nil, errors.New("encode PKCS#12: the certificate is for another key")
	}
	var cas []*x509.Certificate
	if ca != nil {
		cas = append(cas, ca)
	}
	data, err := pkcs12.LegacyDES.WithIterations(pkcs12Iterations).Encode(key, cert, cas, password)
	if err != nil {
		return nil, fmt.Errorf("encode PKCS#12: %w", err)
	}
	return data, nil
}
