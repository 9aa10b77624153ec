package tpm_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"gatepost.dev/agent/tpmkey/swtpmtest"
	"gatepost.dev/devices/attestation/tpm"
)

func TestVerifyEK(t *testing.T) {
	t.Parallel()
	e, now := evidenceOf(t), time.Now()
	ek, err := tpm.VerifyEK(e.ek.Certificate, pool(t, e.roots), nil, now)
	if err != nil {
		t.Fatal(err)
	}
	if ek.Hash != e.ekHash(t) || ek.Vendor != swtpmtest.Vendor || ek.Model == "" || ek.Version == "" {
		t.Errorf("endorsement key: %+v", ek)
	}
	stranger := newCA(t, now)
	for name, try := range map[string]func() error{
		"no roots":     func() error { _, err := tpm.VerifyEK(e.ek.Certificate, nil, nil, now); return err },
		"empty roots":  func() error { _, err := tpm.VerifyEK(e.ek.Certificate, x509.NewCertPool(), nil, now); return err },
		"unknown root": func() error { _, err := tpm.VerifyEK(e.ek.Certificate, stranger.pool(), nil, now); return err },
		"too early": func() error {
			_, err := tpm.VerifyEK(e.ek.Certificate, pool(t, e.roots), nil, now.AddDate(-1, 0, 0))
			return err
		},
		"no certificate": func() error {
			_, err := tpm.VerifyEK(e.ek.Public, pool(t, e.roots), nil, now)
			return err
		},
		"an authority": func() error { _, err := tpm.VerifyEK(stranger.cert.Raw, stranger.pool(), nil, now); return err },
		"other uses": func() error {
			c := sign(t, akTemplate(now), stranger.cert, e.akKey, stranger.key)
			_, err := tpm.VerifyEK(c.Raw, stranger.pool(), nil, now)
			return err
		},
		"long": func() error { _, err := tpm.VerifyEK(make([]byte, 1<<20), pool(t, e.roots), nil, now); return err },
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); refused(t, try()) })
	}
}

func TestChallenge(t *testing.T) {
	t.Parallel()
	e := evidenceOf(t)
	ek, err := tpm.ParseEK(e.ek.Public)
	if err != nil {
		t.Fatal(err)
	}
	ak, err := tpm.ParseAK(e.ak.Public)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("32 bytes that only one TPM may see")[:32]
	credential, encrypted, err := tpm.Challenge(rand.Reader, ek.Key, ak.Name, secret)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.device.Activate(e.ek, e.ak, credential, encrypted)
	if err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("the TPM returned %x, %v", got, err)
	}
	other, err := e.device.CreateAttestationKey()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.device.Activate(e.ek, other, credential, encrypted); err == nil {
		t.Errorf("the TPM returned %x for another attestation key", got)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = tpm.Challenge(rand.Reader, &p384.PublicKey, ak.Name, secret)
	refused(t, err)
}

func TestEKUsage(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ca := newCA(t, now)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ekOf := func(usages ...asn1.ObjectIdentifier) error {
		template := akTemplate(now, permanent("tpm"))
		template.UnknownExtKeyUsage = usages
		_, err := tpm.VerifyEK(sign(t, template, ca.cert, &key.PublicKey, ca.key).Raw, ca.pool(), nil, now)
		return err
	}
	if err := ekOf(asn1.ObjectIdentifier{2, 23, 133, 8, 1}); err != nil {
		t.Error(err)
	}
	refused(t, ekOf())
	refused(t, ekOf(oidAK))
}

// area changes a public area.
func area(t *testing.T, raw []byte, change func(p *tpm2.TPMTPublic)) []byte {
	t.Helper()
	p, err := tpm2.Unmarshal[tpm2.TPMTPublic](raw)
	if err != nil {
		t.Fatal(err)
	}
	change(p)
	return tpm2.Marshal(p)
}

func TestParseAK(t *testing.T) {
	t.Parallel()
	e := evidenceOf(t)
	for name, raw := range map[string][]byte{
		"empty":                nil,
		"short":                e.ak.Public[:20],
		"long":                 make([]byte, 1<<20),
		"fixedTPM":             area(t, e.ak.Public, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false }),
		"fixedParent":          area(t, e.ak.Public, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedParent = false }),
		"sensitiveDataOrigin":  area(t, e.ak.Public, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SensitiveDataOrigin = false }),
		"sign":                 area(t, e.ak.Public, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SignEncrypt = false }),
		"decrypt":              area(t, e.ak.Public, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Decrypt = true }),
		"not restricted":       e.key.Public,
		"name by SHA-1":        area(t, e.ak.Public, func(p *tpm2.TPMTPublic) { p.NameAlg = tpm2.TPMAlgSHA1 }),
		"point off the curve":  area(t, e.ak.Public, setPoint),
		"RSA of 1024 bits":     rsaArea(1024, 0),
		"RSA with exponent 3":  rsaArea(2048, 3),
		"RSA of too many bits": rsaArea(4100, 0),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tpm.ParseAK(raw)
			refused(t, err)
		})
	}
	if _, err := tpm.ParseAK(rsaArea(2048, 0)); err != nil {
		t.Errorf("RSA of 2048 bits: %v", err)
	}
}

func setPoint(p *tpm2.TPMTPublic) {
	p.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: []byte{1}}, Y: tpm2.TPM2BECCParameter{Buffer: []byte{1}},
	})
}

// rsaArea is the public area of an attestation key.
func rsaArea(bits int, exponent uint32) []byte {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	n.Add(n, big.NewInt(1))
	return tpm2.Marshal(tpm2.TPMTPublic{
		Type: tpm2.TPMAlgRSA, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, Restricted: true, SignEncrypt: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{
			Symmetric: tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull}, Scheme: tpm2.TPMTRSAScheme{Scheme: tpm2.TPMAlgNull},
			KeyBits: tpm2.TPMKeyBits(bits), Exponent: exponent,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: n.Bytes()}),
	})
}

func TestVerifyCertified(t *testing.T) {
	t.Parallel()
	e := evidenceOf(t)
	good := tpm.Certified{Public: e.key.Public, Info: e.info, Signature: e.signature}
	key, err := tpm.VerifyCertified(e.akKey, &good, e.nonce)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := e.key.Key(); tpm.KeyHash(key) != tpm.KeyHash(want) || tpm.KeyHash(key) == "" {
		t.Error("certified another key")
	}
	// Where each structure is refused for its own sake, not for its signature: by a
	// key of ours instead of a TPM's.
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	attest, err := tpm2.Unmarshal[tpm2.TPMSAttest](e.info)
	if err != nil {
		t.Fatal(err)
	}
	info := func(change func(a *tpm2.TPMSAttest)) *tpm.Certified {
		a := *attest
		change(&a)
		return signed(own, tpm2.Marshal(a), e.key.Public)
	}
	// public is of a key that is vouched for as it is.
	public := func(change func(p *tpm2.TPMTPublic)) *tpm.Certified {
		changed := area(t, e.key.Public, change)
		c := info(func(a *tpm2.TPMSAttest) {
			a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{Name: tpm2.TPM2BName{Buffer: nameOf(changed)}})
		})
		c.Public = changed
		return c
	}
	for name, c := range map[string]*tpm.Certified{
		"":       info(func(*tpm2.TPMSAttest) {}), // else nothing below says anything
		"areas":  public(func(*tpm2.TPMTPublic) {}),
		"magic":  signed(own, append([]byte{0}, tpm2.Marshal(attest)[1:]...), e.key.Public),
		"empty":  signed(own, nil, e.key.Public),
		"short":  signed(own, e.info[:len(e.info)-3], e.key.Public),
		"long":   signed(own, append(slices.Clone(e.info), make([]byte, 2000)...), e.key.Public),
		"public": signed(own, e.info, e.ak.Public),
		"type": info(func(a *tpm2.TPMSAttest) {
			a.Type, a.Attested = tpm2.TPMSTAttestTime, tpm2.NewTPMUAttest(tpm2.TPMSTAttestTime, &tpm2.TPMSTimeAttestInfo{})
		}),
		"nonce":               info(func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer = []byte("another") }),
		"no nonce":            info(func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer = nil }),
		"start of nonce":      info(func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer = e.nonce[:8] }),
		"fixedTPM":            public(func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false }),
		"fixedParent":         public(func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedParent = false }),
		"sensitiveDataOrigin": public(func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SensitiveDataOrigin = false }),
		"sign":                public(func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SignEncrypt = false }),
		"point off the curve": public(setPoint),
		"name by SHA-1":       public(func(p *tpm2.TPMTPublic) { p.NameAlg = tpm2.TPMAlgSHA1 }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tpm.VerifyCertified(&own.PublicKey, c, e.nonce)
			if name == "" || name == "areas" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused(t, err)
		})
	}
	for name, try := range map[string]func() error{
		"key":       func() error { _, err := tpm.VerifyCertified(&own.PublicKey, &good, e.nonce); return err },
		"nonce":     func() error { _, err := tpm.VerifyCertified(e.akKey, &good, []byte("another nonce")); return err },
		"no nonce":  func() error { _, err := tpm.VerifyCertified(e.akKey, &good, nil); return err },
		"RSA":       func() error { _, err := tpm.VerifyCertified(e.akKey, rsaSigned(&good), e.nonce); return err },
		"no scheme": func() error { _, err := tpm.VerifyCertified(e.akKey, noScheme(&good), e.nonce); return err },
	} {
		t.Run("real "+name, func(t *testing.T) { t.Parallel(); refused(t, try()) })
	}
	// The TPM's own word, with one bit that is another, anywhere.
	for i := range e.info {
		c := good
		c.Info = flip(e.info, i)
		_, err := tpm.VerifyCertified(e.akKey, &c, e.nonce)
		refused(t, err)
	}
	for i := range e.key.Public {
		c := good
		c.Public = flip(e.key.Public, i)
		_, err := tpm.VerifyCertified(e.akKey, &c, e.nonce)
		refused(t, err)
	}
	for i := range e.signature {
		c := good
		c.Signature = flip(e.signature, i)
		_, err := tpm.VerifyCertified(e.akKey, &c, e.nonce)
		refused(t, err)
	}
}

func flip(b []byte, i int) []byte {
	b = slices.Clone(b)
	b[i] ^= 1
	return b
}

// signed is an attestation that a key without a TPM signed.
func signed(key *ecdsa.PrivateKey, info, public []byte) *tpm.Certified {
	sum := sha256.Sum256(info)
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		panic(err)
	}
	return &tpm.Certified{Public: public, Info: info, Signature: tpm2.Marshal(tpm2.TPMTSignature{
		SigAlg: tpm2.TPMAlgECDSA,
		Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
			Hash: tpm2.TPMAlgSHA256, SignatureR: tpm2.TPM2BECCParameter{Buffer: r.Bytes()}, SignatureS: tpm2.TPM2BECCParameter{Buffer: s.Bytes()},
		}),
	})}
}

func rsaSigned(c *tpm.Certified) *tpm.Certified {
	return &tpm.Certified{Public: c.Public, Info: c.Info, Signature: tpm2.Marshal(tpm2.TPMTSignature{
		SigAlg:    tpm2.TPMAlgRSASSA,
		Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgRSASSA, &tpm2.TPMSSignatureRSA{Hash: tpm2.TPMAlgSHA256, Sig: tpm2.TPM2BPublicKeyRSA{Buffer: make([]byte, 256)}}),
	})}
}

func noScheme(c *tpm.Certified) *tpm.Certified {
	return &tpm.Certified{Public: c.Public, Info: c.Info, Signature: []byte{0, 0x10}}
}

func nameOf(public []byte) []byte {
	sum := sha256.Sum256(public)
	return append([]byte{0, 0x0b}, sum[:]...)
}
