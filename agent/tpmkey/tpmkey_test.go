package tpmkey_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"path/filepath"
	"testing"

	"gatepost.dev/agent/tpmkey"
	"gatepost.dev/agent/tpmkey/swtpmtest"
)

func startTPM(t *testing.T, ca string) *tpmkey.Device {
	t.Helper()
	tpm, err := swtpmtest.Start(filepath.Join(t.TempDir(), "state"), ca)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tpm.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &tpmkey.Device{Path: tpm.Path}
}

// A TPM has room for three objects: what is left behind soon fills it.
func TestSigner(t *testing.T) {
	t.Parallel()
	d := startTPM(t, "")
	object, err := d.CreateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := d.Signer(object)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for hash, digest := range map[crypto.Hash][]byte{
			crypto.SHA256: sum256("x"), crypto.SHA384: sum384("x"),
		} {
			sig, err := signer.Sign(rand.Reader, digest, hash)
			if err != nil {
				t.Fatal(err)
			}
			if !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest, sig) {
				t.Errorf("%v: the signature is not the key's", hash)
			}
		}
	}
	if _, err := signer.Sign(rand.Reader, make([]byte, 20), crypto.SHA1); err == nil {
		t.Error("signed a SHA-1 digest")
	}
	if _, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, signer); err != nil {
		t.Errorf("certificate request: %v", err)
	}
	other := startTPM(t, "")
	stranger, err := other.Signer(object)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Sign(rand.Reader, sum256("x"), crypto.SHA256); !errors.Is(err, tpmkey.ErrNoTPM) {
		t.Errorf("another TPM signed with the key: %v", err)
	}
}

func TestEndorsement(t *testing.T) {
	t.Parallel()
	bare, err := startTPM(t, "").Endorsement()
	if err != nil {
		t.Fatal(err)
	}
	if bare.Certificate != nil || !bare.ECC {
		t.Errorf("without a certificate: %+v", bare)
	}
	certified, err := startTPM(t, filepath.Join(t.TempDir(), "ca")).Endorsement()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(certified.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if string(cert.RawSubjectPublicKeyInfo) != string(certified.Public) {
		t.Error("the certificate is of another key")
	}
}

func TestNoTPM(t *testing.T) {
	t.Parallel()
	d := tpmkey.Device{Path: filepath.Join(t.TempDir(), "none")}
	if err := d.Probe(); !errors.Is(err, tpmkey.ErrNoTPM) {
		t.Errorf("no TPM: %v", err)
	}
}

func sum256(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }
func sum384(s string) []byte { h := sha512.Sum384([]byte(s)); return h[:] }
