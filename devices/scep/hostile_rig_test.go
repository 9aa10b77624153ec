package scep_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/devices/scep"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

var (
	attributeKind        = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 2}
	attributeStatus      = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 3}
	attributeFailInfo    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 4}
	attributeNonce       = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 5}
	attributeReturned    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 6}
	attributeTransaction = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7}
)

// sharedProfile is the static challenge of a site.
const sharedProfile = "the-challenge-that-all-of-them-share"

var dawn = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// site serves SCEP on a real store and a real authority.
type site struct {
	t         testing.TB
	records   *store.Records
	tokens    *devices.Tokens
	authority *certs.Authority
	verifier  *certs.Verifier
	issuer    *devices.Issuer
	ra        *certs.RA
	handler   http.Handler
	log       bytes.Buffer

	mu sync.Mutex
	at time.Time
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(d)
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := t.TempDir()
	kv, err := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{Create: true})
	must(t, err)
	t.Cleanup(func() { kv.Close() })
	s := &site{t: t, records: store.New(kv), at: dawn}
	s.authority, err = certs.CreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "Test Device CA", dawn)
	must(t, err)
	s.ra, err = certs.OpenRA(filepath.Join(dir, "ra.pem"), s.authority, dawn)
	must(t, err)
	s.verifier, err = certs.NewVerifier([]certs.TrustedAuthority{{Certificate: s.authority.Certificate, IDFrom: certs.IDFromURI, BuiltIn: true}})
	must(t, err)
	s.tokens = &devices.Tokens{Records: s.records, Now: s.now}
	s.issuer = &devices.Issuer{Authority: s.authority, Records: s.records, Now: s.now}
	server := &scep.Server{
		RA: s.ra, Authority: s.authority.Certificate, Verifier: s.verifier, Records: s.records, Static: []string{sharedProfile}, Now: s.now,
		Enroller: &devices.Enroller{Issuer: s.issuer, Records: s.records, Judge: func(d *posture.Device) posture.Verdict {
			return posture.Judge(&posture.Input{Device: d, Now: s.now()}, &posture.Policy{Name: "default"})
		}},
		Renewer: &devices.Renewer{Issuer: s.issuer, Records: s.records},
	}
	s.handler = web.Handle("/scep", server.ServeSCEP, &web.Options{
		Log: slog.New(slog.NewJSONHandler(&s.log, nil)), Now: s.now, MaxBody: scep.MaxMessage,
	})
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// challenge is the secret of a token.
func (s *site) challenge(n devices.NewToken) string {
	s.t.Helper()
	secret, _, err := s.tokens.Create(s.t.Context(), n)
	must(s.t, err)
	return secret
}

// issued counts the certificates of the device that SCEP issued.
func (s *site) issued(id string) (n int) {
	s.t.Helper()
	all, err := s.records.Certificates(s.t.Context(), id)
	must(s.t, err)
	for _, c := range all {
		if c.Channel == posture.BySCEP {
			n++
		}
	}
	return n
}

func rsaKey(t testing.TB, i int) *rsa.PrivateKey {
	t.Helper()
	return sharedKeys()[i]
}

var sharedKeys = sync.OnceValue(func() (keys [3]*rsa.PrivateKey) {
	for i := range keys {
		var err error
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	return keys
})

// suite is how a client encrypts what it asks for.
type suite struct {
	oid    asn1.ObjectIdentifier
	length int // of the key
	block  func(key []byte) (cipher.Block, error)
}

var (
	withDES    = suite{pkcs7.OIDEncryptionAlgorithmDESCBC, 8, des.NewCipher}
	with3DES   = suite{pkcs7.OIDEncryptionAlgorithmDESEDE3CBC, 24, des.NewTripleDESCipher}
	withAES128 = suite{pkcs7.OIDEncryptionAlgorithmAES128CBC, 16, aes.NewCipher}
	withAES256 = suite{pkcs7.OIDEncryptionAlgorithmAES256CBC, 32, aes.NewCipher}
)

type recipient struct {
	Version      int
	Issuer       issuerAndSerial
	KeyAlgorithm pkix.AlgorithmIdentifier
	Key          []byte
}

type issuerAndSerial struct {
	Name   asn1.RawValue
	Serial *big.Int
}

type envelopedData struct {
	Version    int
	Recipients []recipient `asn1:"set"`
	Content    struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Encrypted asn1.RawValue
	}
}

// seal is the envelope of RFC 5652 section 6.1, by hand, since the library writes
// with one suite for all.
func seal(t testing.TB, to *x509.Certificate, with suite, plain []byte) []byte {
	t.Helper()
	key := make([]byte, with.length)
	rand.Read(key)
	block, err := with.block(key)
	must(t, err)
	iv := make([]byte, block.BlockSize())
	rand.Read(iv)
	pad := block.BlockSize() - len(plain)%block.BlockSize()
	padded := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	//lint:ignore SA1019 SCEP's clients use it
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, to.PublicKey.(*rsa.PublicKey), key)
	must(t, err)
	e := envelopedData{Recipients: []recipient{{
		Issuer:       issuerAndSerial{asn1.RawValue{FullBytes: to.RawIssuer}, to.SerialNumber},
		KeyAlgorithm: pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDEncryptionAlgorithmRSA, Parameters: asn1.NullRawValue},
		Key:          sealed,
	}}}
	e.Content.Type = pkcs7.OIDData
	ivDER, err := asn1.Marshal(iv)
	must(t, err)
	e.Content.Algorithm = pkix.AlgorithmIdentifier{Algorithm: with.oid, Parameters: asn1.RawValue{FullBytes: ivDER}}
	e.Content.Encrypted = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, Bytes: padded}
	inner, err := asn1.Marshal(e)
	must(t, err)
	outer, err := asn1.Marshal(struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{pkcs7.OIDEnvelopedData, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner}})
	must(t, err)
	return outer
}

// letter is what a client sends; newLetter fills in what a good one has.
type letter struct {
	kind        any
	transaction any
	nonce       any
	digest      asn1.ObjectIdentifier
	sha1Request bool // what is asked for is signed by SHA-1
	with        suite
	to          *x509.Certificate
	challenge   string
	subject     pkix.Name
	key         *rsa.PrivateKey // asked for
	signer      *x509.Certificate
	signerKey   any
	change      func(sd *pkcs7.SignedData, d *letter)
}

func (s *site) newLetter(key int, challenge string) *letter {
	k := sharedKeys()[key]
	return &letter{
		kind: wire.PKCSReq, transaction: wire.TransactionID("transaction-1"), nonce: []byte("0123456789abcdef"), digest: pkcs7.OIDDigestAlgorithmSHA256,
		with: withAES128, to: s.ra.Certificate, challenge: challenge, key: k,
		subject: pkix.Name{CommonName: "a device"}, signer: s.selfSigned(k), signerKey: k,
	}
}

// selfSigned is the certificate that a first message is signed with (RFC 8894
// section 2.3).
func (s *site) selfSigned(key *rsa.PrivateKey) *x509.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "SCEP SIGNER"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return c
}

func (l *letter) bytes(t testing.TB) []byte {
	t.Helper()
	return l.wrap(t, seal(t, l.to, l.with, l.request(t)))
}

// request is the certificate request.
func (l *letter) request(t testing.TB) []byte {
	t.Helper()
	csr, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: l.subject, SignatureAlgorithm: x509.SHA256WithRSA},
		ChallengePassword:  l.challenge,
	}, l.key)
	must(t, err)
	if l.sha1Request {
		csr = resign(t, csr, l.key)
	}
	return csr
}

// resign signs a request by SHA-1, which the libraries do not.
func resign(t testing.TB, der []byte, key *rsa.PrivateKey) []byte {
	t.Helper()
	var csr struct {
		Signed    asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	_, err := asn1.Unmarshal(der, &csr)
	must(t, err)
	digest := sha1.Sum(csr.Signed.FullBytes)
	csr.Algorithm.Algorithm = pkcs7.OIDEncryptionAlgorithmRSASHA1
	csr.Signature.Bytes, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA1, digest[:])
	must(t, err)
	csr.Signature.BitLength = 8 * len(csr.Signature.Bytes)
	der, err = asn1.Marshal(csr)
	must(t, err)
	return der
}

func (l *letter) wrap(t testing.TB, content []byte) []byte {
	t.Helper()
	sd, err := pkcs7.NewSignedData(content)
	must(t, err)
	sd.SetDigestAlgorithm(l.digest)
	if l.change != nil {
		l.change(sd, l)
	} else {
		must(t, sd.AddSigner(l.signer, l.signerKey, l.attributes()))
	}
	data, err := sd.Finish()
	must(t, err)
	return data
}

func (l *letter) attributes() (c pkcs7.SignerInfoConfig) {
	for _, a := range []pkcs7.Attribute{{Type: attributeKind, Value: l.kind}, {Type: attributeTransaction, Value: l.transaction}, {Type: attributeNonce, Value: l.nonce}} {
		if a.Value != nil {
			c.ExtraSignedAttributes = append(c.ExtraSignedAttributes, a)
		}
	}
	return c
}

// reply is what came back.
type reply struct {
	http        int
	status      string
	failInfo    string
	nonce       []byte // of the message that is answered
	certificate *x509.Certificate
}

// send posts the bytes; key opens the answer.
func (s *site) send(data []byte, key any, signer *x509.Certificate) reply {
	s.t.Helper()
	r := httptest.NewRequest("POST", "/scep?operation=PKIOperation", bytes.NewReader(data))
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	out := reply{http: w.Code}
	if w.Code != http.StatusOK {
		return out
	}
	p7, err := pkcs7.Parse(body)
	must(s.t, err)
	must(s.t, p7.Verify())
	if !p7.GetOnlySigner().Equal(s.ra.Certificate) {
		s.t.Fatal("the answer is not signed by the registration authority")
	}
	must(s.t, p7.UnmarshalSignedAttribute(attributeStatus, &out.status))
	must(s.t, p7.UnmarshalSignedAttribute(attributeReturned, &out.nonce))
	if out.status != "0" {
		must(s.t, p7.UnmarshalSignedAttribute(attributeFailInfo, &out.failInfo))
		return out
	}
	envelope, err := pkcs7.Parse(p7.Content)
	must(s.t, err)
	chain, err := envelope.Decrypt(signer, key)
	must(s.t, err)
	list, err := pkcs7.Parse(chain)
	must(s.t, err)
	if len(list.Certificates) != 1 {
		s.t.Fatalf("%d certificates in the answer", len(list.Certificates))
	}
	out.certificate = list.Certificates[0]
	return out
}

func (s *site) post(l *letter) reply {
	s.t.Helper()
	return s.send(l.bytes(s.t), l.signerKey, l.signer)
}
