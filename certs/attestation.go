package certs

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Names of the attestation authority's files.
const (
	attestationCert = "attestation-ca.crt"
	attestationKey  = "attestation-ca.key"
)

// What stands in the certificate of a TPM's attestation key (TCG EK Credential
// Profile 2.5 section 3.1, TCG Platform certificates, RFC 4043).
var (
	oidAttestationKey      = asn1.ObjectIdentifier{2, 23, 133, 8, 3} // tcg-kp-AIKCertificate
	oidSubjectAltName      = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidPermanentIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 3}
	oidTPMManufacturer     = asn1.ObjectIdentifier{2, 23, 133, 2, 1}
	oidTPMModel            = asn1.ObjectIdentifier{2, 23, 133, 2, 2}
	oidTPMVersion          = asn1.ObjectIdentifier{2, 23, 133, 2, 3}
)

// AttestationAuthority certifies the attestation keys of TPMs. It has a key of its
// own, so that nothing that it signs is ever a device's certificate.
type AttestationAuthority struct {
	Certificate *x509.Certificate

	signer crypto.Signer
}

// OpenAttestationAuthority opens the authority in the folder, which it makes when
// there is none: attestation-ca.crt, and attestation-ca.key with mode 0600.
func OpenAttestationAuthority(dir string, now time.Time) (*AttestationAuthority, error) {
	a, err := openAttestationAuthority(filepath.Join(dir, attestationCert), filepath.Join(dir, attestationKey), now)
	if err != nil {
		return nil, fmt.Errorf("open the attestation authority: %w", err)
	}
	return a, nil
}

func openAttestationAuthority(certFile, keyFile string, now time.Time) (*AttestationAuthority, error) {
	// The certificate is written last: without it the key is of no use yet.
	if _, err := os.Lstat(certFile); errors.Is(err, fs.ErrNotExist) {
		if err := createAttestationAuthority(certFile, keyFile, now); err != nil {
			return nil, err
		}
	}
	cert, certErr := readCertificate(certFile)
	key, keyErr := readKeyFile(keyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, err
	}
	if !samePublicKey(cert, key) {
		return nil, fmt.Errorf("%q is the certificate of another key than %q", certFile, keyFile)
	}
	if err := checkAuthority(cert); err != nil {
		return nil, fmt.Errorf("%q: %w", certFile, err)
	}
	return &AttestationAuthority{cert, key}, nil
}

func createAttestationAuthority(certFile, keyFile string, now time.Time) error {
	cert, key, err := newAuthority("Gatepost Attestation CA", now, now.AddDate(authorityYears, 0, 0), oidAttestationKey)
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	var d disk
	if err := d.write(keyFile, keyPEM, privateMode); err != nil {
		return err
	}
	return d.write(certFile, CertificatePEM(cert), publicMode)
}

// TPM is what the certificate of an attestation key says of the TPM that it is in.
type TPM struct {
	DeviceID string // of the device that the TPM is built into
	EK       string // lower-case hex SHA-256 of the endorsement key's SubjectPublicKeyInfo
	// Vendor, Model and Version are as the endorsement key's certificate has them;
	// empty without one.
	Vendor, Model, Version string
}

// Issue certifies an attestation key. The subject is empty, as the profile has it;
// the subject alternative names are a permanentIdentifier, which is the device's
// ID, the URI urn:ek:sha256:<base64>, by which clients find their certificate
// again, and what is known of the TPM.
func (a *AttestationAuthority) Issue(t *TPM, key crypto.PublicKey, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	names, err := t.names()
	if err != nil {
		return nil, fmt.Errorf("certify an attestation key: %w", err)
	}
	if err := checkPublicKey(key); err != nil {
		return nil, fmt.Errorf("certify an attestation key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	cert, err := sign(&x509.Certificate{
		SerialNumber: serial,
		NotBefore:    now.Add(-backdate), NotAfter: now.Add(lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage:    []asn1.ObjectIdentifier{oidAttestationKey},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{{Id: oidSubjectAltName, Critical: true, Value: names}}, // since there is no subject
	}, a.Certificate, key, a.signer)
	if err != nil {
		return nil, fmt.Errorf("certify an attestation key: %w", err)
	}
	return cert, nil
}

// names is the subject alternative name, DER.
func (t *TPM) names() ([]byte, error) {
	if err := ValidDeviceID(t.DeviceID); err != nil {
		return nil, err
	}
	ek, err := hex.DecodeString(t.EK)
	if err != nil || len(ek) != 32 {
		return nil, fmt.Errorf("endorsement key %.100q is no SHA-256 in hex", t.EK)
	}
	var all []asn1.RawValue
	add := func(v any, params string) {
		der, e := asn1.MarshalWithParams(v, params)
		err = errors.Join(err, e)
		all = append(all, asn1.RawValue{FullBytes: der})
	}
	type permanentIdentifier struct {
		Value string `asn1:"utf8"`
	}
	add(struct {
		ID    asn1.ObjectIdentifier
		Value permanentIdentifier `asn1:"explicit,tag:0"`
	}{oidPermanentIdentifier, permanentIdentifier{t.DeviceID}}, "tag:0")
	add(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte("urn:ek:sha256:" + base64.StdEncoding.EncodeToString(ek))}, "")
	if t.Vendor != "" {
		var what pkix.RDNSequence
		for _, a := range []pkix.AttributeTypeAndValue{{Type: oidTPMManufacturer, Value: t.Vendor}, {Type: oidTPMModel, Value: t.Model}, {Type: oidTPMVersion, Value: t.Version}} {
			what = append(what, pkix.RelativeDistinguishedNameSET{a})
		}
		add(struct{ Name pkix.RDNSequence }{what}, "tag:4")
	}
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(all)
}
