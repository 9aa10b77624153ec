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
}

const tpmRootsPath = "devices.attestation.tpm_roots"

// validate finds the faults of the values.
func (a *Attestation) validate(f *findings) {
	if len(a.TPMRoots) == 0 && f.written(tpmRootsPath) && !f.faulty(tpmRootsPath) {
		f.add(tpmRootsPath, "holds no file", "write the paths of the vendors' certificates, or delete the key")
	}
	for i, name := range a.TPMRoots {
		path := fmt.Sprintf("%s[%d]", tpmRootsPath, i)
		if first := slices.Index(a.TPMRoots, name); name != "" && first < i {
			f.add(path, fmt.Sprintf("is the same file as %s[%d]", tpmRootsPath, first), "delete one")
		}
	}
}

// checkAttestation reads the vendors' certificates. An expired one is only worth
// a warning: those of the others go on.
func (k *checker) checkAttestation(c *Config) {
	for i, name := range c.Devices.Attestation.TPMRoots {
		path := fmt.Sprintf("%s[%d]", tpmRootsPath, i)
		roots, ok := k.certificates(path, name)
		if !ok {
			continue
		}
		for _, root := range roots {
			if !root.IsCA {
				k.add(path, quote(name)+" holds the certificate of "+quote(root.Subject.String())+", which is no authority", "write the path of the vendor's authorities")
				break
			}
			k.checkDates(path, name, root, k.warn)
		}
	}
}

// readTPMRoots makes a pool of the vendors' certificates; nil: none is
// configured.
func readTPMRoots(files []string) (*x509.CertPool, error) {
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
