package scep

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"sync"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"

	"gatepost.dev/certs"
)

// encryptWithAES has the library encrypt with AES-256-CBC, which every client with
// AES reads: it does so with DES unless a variable of its package says otherwise.
var encryptWithAES = sync.OnceFunc(func() { pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC })

// success is the CertRep with the certificate, encrypted to who signed the message
// (RFC 8894 section 3.3.2). The certificate stands only in the envelope.
func (m *message) success(ra *certs.RA, issued *x509.Certificate) ([]byte, error) {
	chain, err := wire.DegenerateCertificates([]*x509.Certificate{issued})
	if err != nil {
		return nil, fmt.Errorf("answer a SCEP message: %w", err)
	}
	encryptWithAES()
	envelope, err := pkcs7.Encrypt(chain, []*x509.Certificate{m.signer})
	if err != nil {
		return nil, fmt.Errorf("encrypt the answer to a SCEP message: %w", err)
	}
	return m.certRep(ra, envelope, wire.SUCCESS)
}

// failure is the CertRep that says why not.
func (m *message) failure(ra *certs.RA, why wire.FailInfo) ([]byte, error) {
	return m.certRep(ra, nil, wire.FAILURE, pkcs7.Attribute{Type: oidFailInfo, Value: why})
}

func (m *message) certRep(ra *certs.RA, content []byte, status wire.PKIStatus, more ...pkcs7.Attribute) ([]byte, error) {
	nonce := make([]byte, 16) // RFC 8894 section 3.2.1.5
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("answer a SCEP message: %w", err)
	}
	signed, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, fmt.Errorf("answer a SCEP message: %w", err)
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256) // or it is SHA-1
	attributes := append([]pkcs7.Attribute{
		{Type: oidTransactionID, Value: wire.TransactionID(m.transaction)},
		{Type: oidMessageType, Value: wire.CertRep},
		{Type: oidStatus, Value: status},
		{Type: oidSenderNonce, Value: nonce},
		{Type: oidRecipientNonce, Value: m.nonce},
	}, more...)
	if err := signed.AddSigner(ra.Certificate, ra, pkcs7.SignerInfoConfig{ExtraSignedAttributes: attributes}); err != nil {
		return nil, fmt.Errorf("sign the answer to a SCEP message: %w", err)
	}
	answer, err := signed.Finish()
	if err != nil {
		return nil, fmt.Errorf("answer a SCEP message: %w", err)
	}
	return answer, nil
}
