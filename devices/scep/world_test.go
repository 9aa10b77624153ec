package scep

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

var begin = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const static = "a-challenge-that-all-devices-share"

// world is a server of SCEP on a real store and a real authority.
type world struct {
	*Server
	t         testing.TB
	records   *store.Records
	authority *certs.Authority
	tokens    *devices.Tokens
	offset    atomic.Int64
}

func (w *world) now() time.Time { return begin.Add(time.Duration(w.offset.Load())) }

func newWorld(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	kv, err1 := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{Create: true})
	authority, err2 := certs.CreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "Test Device CA", begin)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	t.Cleanup(func() { kv.Close() })
	ra, err1 := certs.OpenRA(filepath.Join(dir, "ra.pem"), authority, begin)
	verifier, err2 := certs.NewVerifier([]certs.TrustedAuthority{{Certificate: authority.Certificate, IDFrom: certs.IDFromURI, BuiltIn: true}})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	w := &world{t: t, records: store.New(kv), authority: authority}
	w.tokens = &devices.Tokens{Records: w.records, Now: w.now}
	issuer := &devices.Issuer{Authority: authority, Records: w.records, Now: w.now}
	w.Server = &Server{
		RA: ra, Authority: authority.Certificate, Verifier: verifier, Records: w.records, Static: []string{static}, Now: w.now,
		Renewer: &devices.Renewer{Issuer: issuer, Records: w.records},
		Enroller: &devices.Enroller{Issuer: issuer, Records: w.records, Judge: func(d *posture.Device) posture.Verdict {
			return posture.Judge(&posture.Input{Device: d, Now: w.now()}, &posture.Policy{})
		}},
	}
	encryptWithAES() // clients of these tests encrypt with the same library
	return w
}

func (w *world) token(n devices.NewToken) string {
	w.t.Helper()
	secret, _, err := w.tokens.Create(w.t.Context(), n)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

// imported puts a device into the inventory.
func (w *world) imported(id, serial string) {
	w.t.Helper()
	_, err := w.records.UpdateDevice(w.t.Context(), id, func(d *posture.Device, _ bool) error {
		d.ID, d.Serial = id, serial
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) device(id string) posture.Device {
	w.t.Helper()
	d, err := w.records.Device(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// issued counts what was issued to the device.
func (w *world) issued(id string) int {
	w.t.Helper()
	all, err := w.records.Certificates(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(all)
}

// keys are slow to make, and which test has which does not matter.
var keys = func() func() *rsa.PrivateKey {
	var mu sync.Mutex
	return func() *rsa.PrivateKey {
		mu.Lock()
		defer mu.Unlock()
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return key
	}
}()

// client is one that asks.
type client struct {
	w           *world
	key         crypto.Signer
	certificate *x509.Certificate // it signs with; self-signed at first
	// What it says, if not what is right.
	subject     pkix.Name
	challenge   string
	kind        wire.MessageType
	transaction string
	digest      asn1.ObjectIdentifier
	csrKey      crypto.Signer
	csr         []byte // sent again
}

func (w *world) client(challenge string) *client {
	w.t.Helper()
	key := keys()
	return &client{
		w: w, key: key, certificate: selfSigned(w.t, key), challenge: challenge, kind: wire.PKCSReq, transaction: "t-" + rand.Text(),
		digest: pkcs7.OIDDigestAlgorithmSHA256,
	}
}

func selfSigned(t testing.TB, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "any"}, NotBefore: begin.Add(-time.Hour), NotAfter: begin.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// message is what the client sends.
func (c *client) message() []byte {
	t := c.w.t
	t.Helper()
	if c.csr == nil {
		key := c.csrKey
		if key == nil {
			key = c.key
		}
		var err error
		c.csr, err = x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
			CertificateRequest: x509.CertificateRequest{Subject: c.subject}, ChallengePassword: c.challenge,
		}, key)
		if err != nil {
			t.Fatal(err)
		}
	}
	envelope, err := pkcs7.Encrypt(c.csr, []*x509.Certificate{c.w.RA.Certificate})
	if err != nil {
		t.Fatal(err)
	}
	return c.signed(envelope)
}

func (c *client) signed(content []byte) []byte {
	t := c.w.t
	t.Helper()
	signed, err := pkcs7.NewSignedData(content)
	if err != nil {
		t.Fatal(err)
	}
	signed.SetDigestAlgorithm(c.digest)
	err = signed.AddSigner(c.certificate, c.key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: []pkcs7.Attribute{
		{Type: oidTransactionID, Value: wire.TransactionID(c.transaction)}, {Type: oidMessageType, Value: c.kind}, {Type: oidSenderNonce, Value: []byte("0123456789abcdef")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	message, err := signed.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// ask sends the message and gives the certificate, or what the answer says instead.
func (c *client) ask() (*x509.Certificate, wire.FailInfo) {
	c.w.t.Helper()
	answer, err := c.w.operate(c.w.t.Context(), c.message())
	if err != nil {
		c.w.t.Fatal(err)
	}
	return c.read(answer)
}

func (c *client) read(answer []byte) (*x509.Certificate, wire.FailInfo) {
	t := c.w.t
	t.Helper()
	m, err := wire.ParsePKIMessage(answer, wire.WithCACerts([]*x509.Certificate{c.w.RA.Certificate}))
	if err != nil {
		t.Fatal(err)
	}
	if string(m.TransactionID) != c.transaction || string(m.RecipientNonce) != "0123456789abcdef" {
		t.Errorf("answer to %q, nonce %q", m.TransactionID, m.RecipientNonce)
	}
	if m.PKIStatus == wire.FAILURE {
		return nil, m.FailInfo
	}
	if err := m.DecryptPKIEnvelope(c.certificate, c.key); err != nil {
		t.Fatal(err)
	}
	return m.Certificate, ""
}

// enrolled asks, and goes on with the certificate.
func (c *client) enrolled() *x509.Certificate {
	c.w.t.Helper()
	certificate, why := c.ask()
	if certificate == nil {
		c.w.t.Fatalf("refused: %s", why)
	}
	c.certificate, c.csr, c.transaction = certificate, nil, "t-"+rand.Text()
	return certificate
}

func (c *client) refused(what string, want wire.FailInfo) {
	c.w.t.Helper()
	if certificate, why := c.ask(); certificate != nil || why != want {
		c.w.t.Errorf("%s: %v, %q, want %q", what, certificate, why, want)
	}
}
