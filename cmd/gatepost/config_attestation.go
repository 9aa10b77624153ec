package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
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
