package android

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.dev/devices/attestation"
)

// readChain reads a chain of the testdata, leaf first.
func readChain(t testing.TB, name string) []*x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	return chain
}

func google(t testing.TB) *Verifier {
	t.Helper()
	roots, err := Roots()
	if err != nil {
		t.Fatal(err)
	}
	return &Verifier{Roots: roots}
}

const (
	unlocked = "bootloader is unlocked"
	software = "no root that is trusted"
)

// genuine are all real chains, at a time at which they were valid.
var genuine = []struct {
	name, challenge, at string
	refused             string // empty: taken
	model, version      string
}{
	{"akita_sdk34_SB_RSA_NONE", "challenge", "2024-10-01", unlocked, "", ""},
	{"akita_sdk34_TEE_EC_NONE", "challenge", "2024-10-01", unlocked, "", ""},
	{"akita_sdk34_TEE_RSA_BASE_IMEI", "challenge", "2024-10-01", unlocked, "", ""},
	{"akita_sdk34_TEE_RSA_NONE", "challenge", "2024-10-01", unlocked, "", ""},
	{"akita_sdk34_TEE_RSA_NONE_USERAUTH", "challenge", "2024-10-01", unlocked, "", ""},
	{"blueline_sdk28_SB_RSA_NONE", "challenge", "2026-11-28", unlocked, "", ""},
	{"blueline_sdk28_SB_RSA_NONE_USERAUTH", "challenge", "2026-11-28", unlocked, "", ""},
	{"blueline_sdk28_TEE_EC_NONE", "challenge", "2026-11-28", unlocked, "", ""},
	{"blueline_sdk28_TEE_RSA_BASE_IMEI", "challenge", "2026-11-28", unlocked, "", ""},
	{"blueline_sdk28_TEE_RSA_NONE", "challenge", "2026-11-28", unlocked, "", ""},
	{"caiman_sdk36_SB_EC_RKP", "7ccac1ea-4845-482e-858d-f6fa9aa8c295", "2025-10-01", "", "Pixel 9 Pro", "16.0.0 (2025-11)"},
	{"caiman_sdk36_TEE_EC_RKP", "d688d763-6118-4ca6-94b2-e6cd9ed7e4e4", "2025-10-01", "", "Pixel 9 Pro", "16.0.0 (2025-11)"},
	{"marlin_sdk29_TEE_EC_NONE", "challenge", "2020-01-01", software, "", ""},
	{"marlin_sdk29_TEE_RSA_NONE", "challenge", "2020-01-01", software, "", ""},
	{"sony-xperia10-iii_sdk33_TEE_EC", ">\xaf\xe4\xd5\xdd\x00\x90\xdeZB\xb42\xb4$\x81\xaf\\\xe2\x99cek%\x84\xc5\x9aI-\xe1m\x00\xc9", "2023-06-01", "", "SO-52B", "13.0.0 (2023-07)"},
	{"tegu_sdk36_SB_EC_2026_ROOT", "90578e1d-f5bf-4ccf-a27f-a4f4d89ee21f", "2026-03-01", "", "", "16.0.0 (2026-02)"},
	{"tegu_sdk36_TEE_EC_2026_ROOT", "6417f92c-daef-4cc1-8828-5bb39338ffd5", "2026-03-01", "", "", "16.0.0 (2026-02)"},
	{"tegu_sdk37_TEE_MAX_USAGE_COUNT", "5c096f0f-e998-4059-bdec-be36d928bd8d", "2026-07-10", unlocked, "", ""},
	{"tegu_sdk37_TEE_TRUSTED_CONF", "b1631dab-2e6c-465f-8a7f-24a6152a518a", "2026-07-10", unlocked, "", ""},
	{"tokay_sdk37_TEE_MLDSA_FACTORY", "challenge", "2026-05-01", unlocked, "", ""},
	{"tokay_sdk37_TEE_MLDSA_RKP", "challenge", "2026-05-01", unlocked, "", ""},
}

func day(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// refused wants the error to be ErrEvidence, for that reason.
func refused(t *testing.T, err error, why string) {
	t.Helper()
	if !errors.Is(err, attestation.ErrEvidence) || !strings.Contains(err.Error(), why) {
		t.Errorf("got error %v, want ErrEvidence because of %q", err, why)
	}
}

func TestRealChains(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.pem")
	if err != nil || len(files) != len(genuine) {
		t.Fatalf("%d chains in testdata, %d in the table: %v", len(files), len(genuine), err)
	}
	v := google(t)
	for _, c := range genuine {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			chain := readChain(t, c.name)
			got, err := v.VerifyChain(chain, []byte(c.challenge), day(t, c.at))
			if c.refused != "" {
				refused(t, err, c.refused)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if a := got.Attested; a.Model != c.model || a.Version != c.version || a.Format != Format || len(a.KeyHash) != 64 || len(got.Identifiers) != 0 {
				t.Errorf("got %+v, identifiers %q", a, got.Identifiers)
			}
			_, err = v.VerifyChain(chain, []byte(c.challenge+"x"), day(t, c.at))
			refused(t, err, "another nonce")
			_, err = v.VerifyChain(chain, nil, day(t, c.at))
			refused(t, err, "no nonce")
			_, err = (&Verifier{}).VerifyChain(chain, []byte(c.challenge), day(t, c.at))
			refused(t, err, "no root that is trusted")
			_, err = v.VerifyChain(chain[:len(chain)-1], []byte(c.challenge), day(t, c.at))
			refused(t, err, "no root that is trusted")
			_, err = v.VerifyChain(chain, []byte(c.challenge), day(t, "2040-01-01"))
			refused(t, err, "") // by then a root, or what is below it, has ended
			for i := range chain[:len(chain)-1] {
				revoked := Verifier{Roots: v.Roots, Revoked: Revoked{chain[i].SerialNumber.Text(16): {}}}
				_, err = revoked.VerifyChain(chain, []byte(c.challenge), day(t, c.at))
				refused(t, err, "is revoked")
			}
		})
	}
}

// TestRealParts reads the descriptions of the refused chains too: versions 2 to 500,
// of keys that are not taken and devices that are unlocked.
func TestRealParts(t *testing.T) {
	t.Parallel()
	for _, c := range genuine {
		d, err := descriptionOf(readChain(t, c.name))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if string(d.Challenge) != c.challenge {
			t.Errorf("%s: challenge %q", c.name, d.Challenge)
		}
	}
}

func TestRealIMEIIsNoIdentifier(t *testing.T) {
	t.Parallel()
	d, err := descriptionOf(readChain(t, "akita_sdk34_TEE_RSA_BASE_IMEI"))
	if err != nil {
		t.Fatal(err)
	}
	if d.serial != "" || d.manufacturer != "Google" || d.model != "Pixel 8a" {
		t.Errorf("got serial %q, manufacturer %q, model %q", d.serial, d.manufacturer, d.model)
	}
}

// TestCertificateSwapped: the walk is not about names alone.
func TestCertificateSwapped(t *testing.T) {
	t.Parallel()
	v, at := google(t), day(t, "2026-03-01")
	sb, tee := readChain(t, "tegu_sdk36_SB_EC_2026_ROOT"), readChain(t, "tegu_sdk36_TEE_EC_2026_ROOT")
	_, err := v.VerifyChain(append([]*x509.Certificate{sb[0]}, tee[1:]...), []byte("90578e1d-f5bf-4ccf-a27f-a4f4d89ee21f"), at)
	refused(t, err, "by another issuer")
}
