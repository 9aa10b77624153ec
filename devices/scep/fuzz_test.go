package scep

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"
)

// FuzzMessage reads what anybody may send. No key is made that takes long to make:
// fuzzing has many processes.
func FuzzMessage(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	c := client{w: &world{t: f}, key: key, certificate: selfSigned(f, key), kind: wire.PKCSReq, transaction: "t", digest: pkcs7.OIDDigestAlgorithmSHA256}
	f.Add(c.signed([]byte("no envelope")))
	f.Add([]byte("\x30\x80\x30\x80"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parse(data)
		switch {
		case err != nil && !errors.Is(err, errNoMessage):
			t.Errorf("%v", err)
		case err == nil && (m.signer == nil || m.transaction == "" || len(m.nonce) == 0):
			t.Errorf("%+v", m)
		}
	})
}

// FuzzEnvelope reads what a message can hold, as it is encrypted and as it is
// decrypted.
func FuzzEnvelope(f *testing.F) {
	w := newWorld(f)
	envelope, err := pkcs7.Encrypt([]byte("no request"), []*x509.Certificate{w.RA.Certificate})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(envelope)
	f.Add([]byte("\x30\x80\x30\x80"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := message{envelope: data}
		if r, err := m.open(w.RA, true); err == nil && r.key == nil {
			t.Errorf("%+v", r)
		}
		_ = guard(func() error {
			r, err := parseRequest(data)
			if err == nil && r.key == nil {
				t.Errorf("%+v", r)
			}
			return err
		})
	})
}
