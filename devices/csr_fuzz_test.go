package devices

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
)

// FuzzKeyOfRequest: whatever comes as a certificate request, a key that is taken
// from it is one of those that devices may have, and its holder signed.
func FuzzKeyOfRequest(f *testing.F) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			f.Fatal(err)
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
		f.Add(der[:len(der)-3])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := KeyOfRequest(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
		if err != nil {
			if !errors.Is(err, ErrBadRequest) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		switch key := key.(type) {
		case *ecdsa.PublicKey:
			if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
				t.Errorf("a key on the curve %v", key.Curve)
			}
		case *rsa.PublicKey:
			if key.N.BitLen() < 2048 || key.N.BitLen() > 4096 {
				t.Errorf("an RSA key of %d bits", key.N.BitLen())
			}
		default:
			t.Errorf("a key of type %T", key)
		}
		request, err := x509.ParseCertificateRequest(der)
		if err != nil || request.CheckSignature() != nil {
			t.Error("a key was taken from a request that its holder did not sign")
		}
	})
}
