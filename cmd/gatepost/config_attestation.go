package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"

	"gatepost.dev/devices/attestation/android"
)

// Attestation is whose word on the keys of devices counts.
type Attestation struct {
	// TPMRoots are files with certificates in PEM: the authorities of the vendors
	// that certify the endorsement keys of TPMs. Certificates between are written
	// into the same files. Without any, a TPM counts only if an administrator
	// pinned its endorsement key.
	TPMRoots []string `yaml:"tpm_roots"`

	// AppleRoots are files with certificates in PEM at which the chains of Apple
	// devices end, for tests. Defaults to Apple's own, which need not be written.
	AppleRoots []string `yaml:"apple_roots"`

	// AndroidStatus is the path of the list of revoked keys of Android devices, as
	// Google publishes it (https://android.googleapis.com/attestation/status). Fetch
	// it every day: it is read when the server starts and reloads. Without it no word
	// of an Android device counts.
	AndroidStatus string `yaml:"android_status"`
}

const attestationPath = "devices.attestation"

// rootFiles are the files of each key.
func (a *Attestation) rootFiles() map[string][]string {
	return map[string][]string{attestationPath + ".tpm_roots": a.TPMRoots, attestationPath + ".apple_roots": a.AppleRoots}
}

// validate finds the faults of the values.
func (a *Attestation) validate(f *findings) {
	for key, files := range a.rootFiles() {
		if len(files) == 0 && f.written(key) && !f.faulty(key) {
			f.add(key, "holds no file", "write the paths of the vendors' certificates, or delete the key")
		}
		for i, name := range files {
			if first := slices.Index(files, name); name != "" && first < i {
				f.add(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("is the same file as %s[%d]", key, first), "delete one")
			}
		}
	}
}

// checkAttestation reads the vendors' certificates. An expired one is only worth
// a warning: those of the others go on.
func (k *checker) checkAttestation(c *Config) {
	if file := c.Devices.Attestation.AndroidStatus; file != "" {
		if data, ok := k.read(attestationPath+".android_status", file); ok {
			if _, err := android.ParseStatus(data); err != nil {
				k.add(attestationPath+".android_status", quote(file)+" is no list of revoked keys: "+err.Error(), "fetch it anew")
			}
		}
	}
	for key, files := range c.Devices.Attestation.rootFiles() {
		for i, name := range files {
			k.checkRoots(fmt.Sprintf("%s[%d]", key, i), name)
		}
	}
}

func (k *checker) checkRoots(path, name string) {
	roots, ok := k.certificates(path, name)
	if !ok {
		return
	}
	for _, root := range roots {
		if !root.IsCA {
			k.add(path, quote(name)+" holds the certificate of "+quote(root.Subject.String())+", which is no authority", "write the path of the vendor's authorities")
			return
		}
		k.checkDates(path, name, root, k.warn)
	}
}

// readRoots makes a pool of the certificates in the files; nil: there is no file.
func readRoots(files []string) (*x509.CertPool, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "CERTIFICATE" {
				continue
			}
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			pool.AddCert(cert)
		}
	}
	return pool, nil
}
