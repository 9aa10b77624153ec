package conform

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	_ "crypto/sha1" // OAEP's default digest, registered for crypto.SHA1
	_ "crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/beevik/etree"
)

const nsEncrypt11 = "http://www.w3.org/2009/xmlenc11#"

// blockCiphers has the key length in bytes of each content encryption, and
// whether it is authenticated (XML Encryption 1.1 sections 5.2.1 and 5.2.4).
var blockCiphers = map[string]struct {
	keyLen int
	gcm    bool
}{
	nsEncrypt11 + "aes128-gcm": {16, true}, nsEncrypt11 + "aes192-gcm": {24, true}, nsEncrypt11 + "aes256-gcm": {32, true},
	nsEncrypt + "aes128-cbc": {16, false}, nsEncrypt + "aes192-cbc": {24, false}, nsEncrypt + "aes256-cbc": {32, false},
}

var errDecrypt = errors.New("the assertion cannot be decrypted with the key of this service provider")

// decrypt returns the document inside of an EncryptedAssertion and the
// algorithm it was encrypted with. crewjam/saml is not asked: it knows AES-GCM
// with 128 bits only, and panics on a short ciphertext.
func decrypt(encrypted *etree.Element, key *rsa.PrivateKey) (plain []byte, algorithm string, err error) {
	data, err := one(encrypted, nsEncrypt, "EncryptedData")
	if err != nil {
		return nil, "", err
	}
	algorithm, err = method(data)
	if err != nil {
		return nil, "", err
	}
	block, known := blockCiphers[algorithm]
	if !known {
		return nil, "", fmt.Errorf("content encryption %q", algorithm)
	}
	wrapped, err := encryptedKey(encrypted, data)
	if err != nil {
		return nil, "", err
	}
	contentKey, err := unwrapKey(wrapped, key)
	if err != nil {
		return nil, "", err
	}
	ciphertext, err := cipherValue(data)
	if err != nil {
		return nil, "", err
	}
	if len(contentKey) != block.keyLen {
		return nil, "", errDecrypt
	}
	c, err := aes.NewCipher(contentKey)
	if err != nil {
		return nil, "", errDecrypt
	}
	if block.gcm {
		plain, err = openGCM(c, ciphertext)
	} else {
		plain, err = openCBC(c, ciphertext)
	}
	return plain, algorithm, err
}

// encryptedKey finds the one key, which stands inside of the data's KeyInfo or
// beside the data.
func encryptedKey(encrypted, data *etree.Element) (*etree.Element, error) {
	keys := children(encrypted, nsEncrypt, "EncryptedKey")
	for _, info := range children(data, nsSignature, "KeyInfo") {
		keys = append(keys, children(info, nsEncrypt, "EncryptedKey")...)
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("there are %d encrypted keys", len(keys))
	}
	return keys[0], nil
}

func method(el *etree.Element) (string, error) {
	m, err := one(el, nsEncrypt, "EncryptionMethod")
	if err != nil {
		return "", err
	}
	return attr(m, "Algorithm"), nil
}

func cipherValue(el *etree.Element) ([]byte, error) {
	value, err := descend(el, nsEncrypt, "CipherData", "CipherValue")
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text(value)), ""))
	if err != nil {
		return nil, fmt.Errorf("the cipher value of %s: %w", el.Tag, err)
	}
	return raw, nil
}

// unwrapKey opens RSA-OAEP with MGF1 over SHA-1 (XML Encryption 1.1 section
// 5.5.2, rsa-oaep-mgf1p), whose digest is SHA-1 unless a DigestMethod says
// otherwise.
func unwrapKey(wrapped *etree.Element, key *rsa.PrivateKey) ([]byte, error) {
	alg, err := method(wrapped)
	if err != nil {
		return nil, err
	}
	if alg != nsEncrypt+"rsa-oaep-mgf1p" {
		return nil, fmt.Errorf("key encryption %q", alg)
	}
	opts := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	for _, d := range children(children(wrapped, nsEncrypt, "EncryptionMethod")[0], nsSignature, "DigestMethod") {
		switch attr(d, "Algorithm") {
		case nsSignature + "sha1":
		case nsEncrypt + "sha256":
			opts.Hash = crypto.SHA256
		default:
			return nil, fmt.Errorf("digest of the key encryption %q", attr(d, "Algorithm"))
		}
	}
	raw, err := cipherValue(wrapped)
	if err != nil {
		return nil, err
	}
	contentKey, err := key.Decrypt(nil, raw, opts)
	if err != nil {
		return nil, errDecrypt
	}
	return contentKey, nil
}

// openGCM takes a nonce of 12 bytes, the ciphertext and a tag of 16 bytes (XML
// Encryption 1.1 section 5.2.4).
func openGCM(c cipher.Block, sealed []byte) ([]byte, error) {
	aead, err := cipher.NewGCM(c)
	if err != nil || len(sealed) < aead.NonceSize() {
		return nil, errDecrypt
	}
	n := aead.NonceSize()
	plain, err := aead.Open(nil, sealed[:n], sealed[n:], nil)
	if err != nil {
		return nil, errDecrypt
	}
	return plain, nil
}

// openCBC takes an initialisation vector and the padded ciphertext, whose last
// byte tells the length of the padding (XML Encryption 1.1 section 5.2.1).
func openCBC(c cipher.Block, sealed []byte) ([]byte, error) {
	if len(sealed) < 2*aes.BlockSize || len(sealed)%aes.BlockSize != 0 {
		return nil, errDecrypt
	}
	plain := make([]byte, len(sealed)-aes.BlockSize)
	cipher.NewCBCDecrypter(c, sealed[:aes.BlockSize]).CryptBlocks(plain, sealed[aes.BlockSize:])
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, errDecrypt
	}
	return plain[:len(plain)-pad], nil
}
