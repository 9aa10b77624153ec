package saml

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // OAEP's hash only, where every client reads no other; never in a signature
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
)

// EncryptionKey is the public key that a relying party decrypts assertions
// with.
type EncryptionKey struct{ public *rsa.PublicKey }

// NewEncryptionKey takes the key from the certificate of a relying party's
// metadata; it must be RSA.
func NewEncryptionKey(c *x509.Certificate) (*EncryptionKey, error) {
	if c == nil {
		return nil, errors.New("the relying party's metadata have no encryption certificate")
	}
	public, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the relying party's encryption key is %T; it must be RSA", c.PublicKey)
	}
	return &EncryptionKey{public}, nil
}

const (
	encryptedStart = `<saml:EncryptedAssertion xmlns:saml="` + nsAssertion + `">` +
		`<xenc:EncryptedData xmlns:xenc="` + nsXEnc + `" Type="http://www.w3.org/2001/04/xmlenc#Element">` +
		`<xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes128-gcm"></xenc:EncryptionMethod>` +
		`<ds:KeyInfo xmlns:ds="` + nsDSig + `"><xenc:EncryptedKey>` +
		`<xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p">` +
		`<ds:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"></ds:DigestMethod></xenc:EncryptionMethod>` +
		`<xenc:CipherData><xenc:CipherValue>`
	encryptedMiddle = `</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>`
	encryptedEnd    = `</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedAssertion>`
)

// encrypt wraps an assertion as EncryptedAssertion (SAML core 2.3.4): AES-128 in
// GCM mode, which every client reads that reads GCM at all, under a fresh key,
// which travels by RSA-OAEP with MGF1 and SHA-1 (XML Encryption 1.1 sections
// 5.2.4 and 5.5.2).
func (k *EncryptionKey) encrypt(assertion []byte) (*writer, error) {
	key := make([]byte, 16)
	rand.Read(key)
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, k.public, key, nil)
	if err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	// The nonce stands before the ciphertext and the tag after it, as XML
	// Encryption has them.
	sealed := gcm.Seal(nil, nil, assertion, nil)

	w := &writer{b: make([]byte, 0, len(sealed)*4/3+2048)}
	w.raw(encryptedStart)
	w.b = base64.StdEncoding.AppendEncode(w.b, wrapped)
	w.raw(encryptedMiddle)
	w.b = base64.StdEncoding.AppendEncode(w.b, sealed)
	w.raw(encryptedEnd)
	return w, nil
}
