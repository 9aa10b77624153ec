package main

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"gatepost.dev/agent/tpmkey"
	"gatepost.dev/agent/tpmkey/swtpmtest"
	"gatepost.dev/conform"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

// stepProgram is smallstep's command, an ACME client that is not ours.
func stepProgram(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", ".cache", "bin", "step"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("step is not there, %q makes it: %v", "make needs", err)
	}
	return path
}

// acmeSite is an installation that serves ACME, with a TPM.
type acmeSite struct {
	*installation
	tpm *swtpmtest.TPM
	ek  string
}

// newACMESite makes it. The inventory has the TPM as mac-1's; pinned says that an
// administrator said so, else the authority of TPMs in the folder ca is trusted,
// unless trusted is false.
func newACMESite(t *testing.T, pinned, trusted bool) *acmeSite {
	t.Helper()
	s := &acmeSite{installation: newInstallation(t)}
	ca := filepath.Join(s.dir, "tpm-ca")
	var err error
	if s.tpm, err = swtpmtest.Start(filepath.Join(s.dir, "tpm"), ca); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.tpm.Stop(); err != nil {
			t.Error(err)
		}
	})
	endorsement, err := (&tpmkey.Device{Path: s.tpm.Path}).Endorsement()
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(endorsement.Public)
	s.ek = hex.EncodeToString(hash[:])
	section := "\ndevices:\n  acme: { enabled: true }\n"
	if trusted {
		section += "  attestation: { tpm_roots: [" + swtpmtest.RootFile(ca) + ", " + swtpmtest.IssuerFile(ca) + "] }\n"
	}
	if err := editFile(filepath.Join(s.dir, s.config), "\ndevices:\n", section); err != nil {
		t.Fatal(err)
	}
	s.knowTPM(t, pinned)
	s.serve(t)
	return s
}

// knowTPM writes into the store whose TPM it is, while no server has it open.
func (s *acmeSite) knowTPM(t *testing.T, pinned bool) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(s.dir, "gp", "gatepost.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = store.New(db).UpdateDevice(t.Context(), "mac-1", func(d *posture.Device, _ bool) error {
		if d.EK = s.ek; pinned {
			d.EKPinnedBy = "ann"
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// step asks for a certificate for the identifier.
func (s *acmeSite) step(t *testing.T, identifier string) (string, error) {
	t.Helper()
	root := filepath.Join(s.dir, "gp", "trial-ca.crt")
	cmd := exec.CommandContext(t.Context(), stepProgram(t), "ca", "certificate", identifier, filepath.Join(s.dir, "step.crt"), filepath.Join(s.dir, "step.key"),
		"--acme", s.issuer+"/acme/directory", "--root", root, "--attestation-uri", "tpmkms:name=device;device="+s.tpm.Path,
		"--attestation-ca-url", s.issuer+"/acme/tpm", "--attestation-ca-root", root, "--tpm-storage-directory", filepath.Join(s.dir, "step-tpm"), "--force")
	cmd.Env = append(os.Environ(), "STEPPATH="+filepath.Join(s.dir, "step"), "HOME="+s.dir)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// issued counts the certificates that came by ACME.
func (s *acmeSite) issued(t *testing.T) int {
	t.Helper()
	return strings.Count(s.gatepost(t, "device", "show", "mac-1", "--json"), `"channel": "acme"`)
}

// tpmSigner signs with the key that step made in the TPM.
type tpmSigner struct {
	path            string
	public, private []byte // TPMT_PUBLIC, TPM2B_PRIVATE's contents
	key             crypto.PublicKey
}

// stepKey reads the key out of the folder in which step keeps what its TPM sealed.
func (s *acmeSite) stepKey(t *testing.T) *tpmSigner {
	t.Helper()
	signer := &tpmSigner{path: s.tpm.Path}
	err := filepath.WalkDir(filepath.Join(s.dir, "step-tpm"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		var kept struct {
			Name, Type string
			Data       []byte
		}
		if json.Unmarshal(readAll(t, path), &kept) != nil || kept.Name != "device" {
			return nil
		}
		var sealed struct {
			Public []byte
			Blob   []byte `json:"KeyBlob"`
		}
		if err := json.Unmarshal(kept.Data, &sealed); err != nil {
			return err
		}
		signer.public, signer.private = sealed.Public, sealed.Blob
		return nil
	})
	if err != nil || signer.public == nil {
		t.Fatalf("step kept no key: %v", err)
	}
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](signer.public)
	if err != nil {
		t.Fatal(err)
	}
	if signer.key, err = tpm2.Pub(*area); err != nil {
		t.Fatal(err)
	}
	return signer
}

func (s *tpmSigner) Public() crypto.PublicKey { return s.key }

// srk is the storage root key that step's library makes persistent.
const srk = tpm2.TPMHandle(0x81000001)

func (s *tpmSigner) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	t, err := linuxudstpm.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	return s.sign(t, digest)
}

func (s *tpmSigner) sign(t transport.TPM, digest []byte) ([]byte, error) {
	parent, err := tpm2.ReadPublic{ObjectHandle: srk}.Execute(t)
	if err != nil {
		return nil, err
	}
	key, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: srk, Name: parent.Name, Auth: tpm2.PasswordAuth(nil)},
		InPrivate:    tpm2.TPM2BPrivate{Buffer: s.private}, InPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](s.public),
	}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("load the key: %w", err)
	}
	defer func() { _, _ = tpm2.FlushContext{FlushHandle: key.ObjectHandle}.Execute(t) }()
	scheme := tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull}
	signed, err := tpm2.Sign{
		KeyHandle: tpm2.AuthHandle{Handle: key.ObjectHandle, Name: key.Name, Auth: tpm2.PasswordAuth(nil)}, Digest: tpm2.TPM2BDigest{Buffer: digest},
		InScheme: scheme, Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
	}.Execute(t)
	if err != nil {
		return nil, err
	}
	made, err := signed.Signature.Signature.ECDSA()
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(made.SignatureR.Buffer), new(big.Int).SetBytes(made.SignatureS.Buffer)})
}

// signInWithTPM signs in over TLS with the certificate that step got.
func (s *acmeSite) signInWithTPM(t *testing.T) *conform.SignIn {
	t.Helper()
	certificate := tls.Certificate{PrivateKey: s.stepKey(t)}
	for block, rest := pem.Decode(readAll(t, filepath.Join(s.dir, "step.crt"))); block != nil; block, rest = pem.Decode(rest) {
		certificate.Certificate = append(certificate.Certificate, block.Bytes)
	}
	metadata, err := s.fetchMetadata()
	if err != nil {
		t.Fatal(err)
	}
	o, err := openOkta(filepath.Join(s.dir, "okta"), metadata)
	if err != nil {
		t.Fatal(err)
	}
	request, err := o.Request(conform.RequestOptions{Subject: "ann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	in, err := oktaRoundTrip(webClient(&certificate, nil), o, request)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestACMEWithStep: a client that is not ours gets a certificate for a key in a TPM
// whose endorsement key is trusted, by its vendor's or by an administrator's word,
// and signs in with it.
func TestACMEWithStep(t *testing.T) {
	t.Parallel()
	for what, pinned := range map[string]bool{"by the vendor": false, "by an administrator": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newACMESite(t, pinned, !pinned)
			if out, err := s.step(t, "win-2"); err == nil || !strings.Contains(out, "identifier") {
				t.Errorf("for another device: %v\n%s", err, out)
			}
			if n := s.issued(t); n != 0 {
				t.Fatalf("%d issued to the wrong identifier", n)
			}
			if err := os.RemoveAll(filepath.Join(s.dir, "step-tpm")); err != nil { // it makes no key twice
				t.Fatal(err)
			}
			if out, err := s.step(t, "mac-1"); err != nil {
				log, _ := os.ReadFile(filepath.Join(s.dir, "server.stderr"))
				t.Fatalf("%v\n%s\n%s", err, out, log)
			}
			block, _ := pem.Decode(readAll(t, filepath.Join(s.dir, "step.crt")))
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil || len(certificate.URIs) != 1 || certificate.URIs[0].String() != "urn:gatepost:device:mac-1" {
				t.Errorf("%v, %v", certificate, err)
			}
			if in := s.signInWithTPM(t); !in.Managed {
				t.Errorf("%+v", in)
			}
			if last := s.gatepost(t, "decisions", "--last", "1", "--json"); !strings.Contains(last, `"proof":{"method":"certificate","rank":"attested"}`) || !strings.Contains(last, `"device":"mac-1"`) {
				t.Errorf("decided: %s", last)
			}
			if shown := s.gatepost(t, "device", "show", "mac-1", "--json"); strings.Contains(shown, `"pinned": true`) != pinned || !strings.Contains(shown, `"format": "tpm"`) {
				t.Errorf("%s", shown)
			}
		})
	}
}

// TestACMEUnknownRoot: a TPM that nobody trusted vouches for is none.
func TestACMEUnknownRoot(t *testing.T) {
	t.Parallel()
	s := newACMESite(t, false, false)
	if out, err := s.step(t, "mac-1"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("%v\n%s", err, out)
	}
	if n := s.issued(t); n != 0 {
		t.Errorf("%d issued", n)
	}
}

// TestACMEIsOff: it is not there, and makes no authority, before it is asked for;
// then it is there at the next reload, on the issuer's host alone.
func TestACMEIsOff(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	server := in.serve(t)
	status := func(method, url string) int {
		t.Helper()
		a, err := browse(webClient(nil, nil), method, url, "")
		if err != nil {
			t.Fatal(err)
		}
		return a.status
	}
	paths := map[string]string{"/acme/directory": "GET", "/acme/new-nonce": "HEAD", "/acme/new-account": "POST", "/acme/tpm/attest": "POST", "/acme/tpm/secret": "POST"}
	for path, method := range paths {
		if got := status(method, in.issuer+path); got != http.StatusNotFound {
			t.Errorf("%s %s: %d while it is off", method, path, got)
		}
	}
	authority := filepath.Join(in.dir, "gp", "attestation-ca.key")
	if _, err := os.Stat(authority); err == nil {
		t.Error("the attestation authority is there while ACME is off")
	}
	if err := editFile(filepath.Join(in.dir, in.config), "\ndevices:\n", "\ndevices:\n  acme: { enabled: true }\n"); err != nil {
		t.Fatal(err)
	}
	if err := server.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := server.until("ACME", func() bool { return status("GET", in.issuer+"/acme/directory") == http.StatusOK }); err != nil {
		t.Fatal(err)
	}
	for path, method := range paths {
		if got := status(method, in.issuer+path); got == http.StatusNotFound {
			t.Errorf("%s %s: %d while it is on", method, path, got)
		}
		if got := status(method, strings.Replace(in.issuer, "localhost", "127.0.0.1", 1)+path); got != http.StatusNotFound {
			t.Errorf("%s %s: %d on the device host", method, path, got)
		}
	}
	if info, err := os.Stat(authority); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the attestation authority: %v, %v", info, err)
	}
}
