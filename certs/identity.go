package certs

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Identity is the device that a certificate names.
type Identity struct {
	DeviceID       string // empty: it is the device with HardwareSerial
	HardwareSerial string
	Authority      string // KeyHash of the trusted authority at the end of the chain
	Serial         string // the certificate's serial number, lower-case hexadecimal
	KeyHash        string // of the device's certificate
	NotAfter       time.Time
	BuiltIn        bool
	Rank           string // of TrustedAuthority; the built-in one says it of each certificate
}

var (
	oidKeyUsage     = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSerialNumber = asn1.ObjectIdentifier{2, 5, 4, 5}
)

// hasKeyUsage tells whether the extension is there: a KeyUsage of 0 can also
// mean that it is and allows nothing.
func hasKeyUsage(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(oidKeyUsage) {
			return true
		}
	}
	return false
}

// checkLeaf refuses certificates that are no device's, whoever issued them.
func checkLeaf(c *x509.Certificate) error {
	switch {
	case c.Version != 3:
		return fmt.Errorf("certificate version %d", c.Version)
	case c.IsCA, c.KeyUsage&x509.KeyUsageCertSign != 0:
		return errors.New("an authority's certificate is no device's")
	// crypto/x509 is content with no extended key usage and with any.
	case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return errors.New("its extended key usage does not name client authentication")
	// RFC 5280 section 4.2.1.3; a TLS client signs.
	case hasKeyUsage(c) && c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("its key usage forbids signatures")
	case len(c.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("unknown critical extension %v", c.UnhandledCriticalExtensions[0])
	}
	if err := CheckSignatureAlgorithm(c.SignatureAlgorithm); err != nil {
		return err
	}
	return checkPublicKey(c.PublicKey)
}

// deviceID reads the ID that the certificate gives its device, by the way
// agreed for its authority. Two candidates are none: which one counts would be
// a guess.
func deviceID(c *x509.Certificate, a TrustedAuthority) (string, error) {
	switch a.IDFrom {
	case IDFromURI:
		var uris []string
		for _, u := range c.URIs {
			uris = append(uris, u.String())
		}
		uri, err := only(uris, "URI")
		if err != nil {
			return "", err
		}
		id, ours := strings.CutPrefix(uri, deviceURI)
		switch {
		case ours:
			return id, ValidDeviceID(id)
		case a.BuiltIn:
			return "", fmt.Errorf("URI %q does not begin with %q", uri, deviceURI)
		}
		return uri, nil
	case IDFromDNS:
		name, err := only(c.DNSNames, "DNS name")
		if err == nil && strings.Contains(name, "*") {
			err = fmt.Errorf("DNS name %q stands for many", name)
		}
		return strings.ToLower(name), err
	case IDFromCN:
		return only(attributes(c, oidCommonName), "common name")
	case IDFromSerial:
		return only(attributes(c, oidSerialNumber), "subject serialNumber")
	}
	return "", fmt.Errorf("id_from %q", a.IDFrom)
}

// attributes are the subject's values of one type. pkix.Name's own fields hold
// the last one only.
func attributes(c *x509.Certificate, oid asn1.ObjectIdentifier) []string {
	var values []string
	for _, n := range c.Subject.Names {
		if n.Type.Equal(oid) {
			s, _ := n.Value.(string)
			values = append(values, s)
		}
	}
	return values
}

// maxForeignID is in bytes.
const maxForeignID = 256

func only(values []string, what string) (string, error) {
	if len(values) != 1 {
		return "", fmt.Errorf("it has %d values for %s, not one", len(values), what)
	}
	s := values[0]
	if s == "" || len(s) > maxForeignID || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", fmt.Errorf("its %s %.60q is empty, too long or not plain text", what, s)
	}
	return s, nil
}
