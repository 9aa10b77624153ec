package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// LoadPair reads a server's certificate, with any intermediates after it, and
// its key from two PEM files. What works but should be seen to is a warning: out
// of its dates at now, a key file that others can read, an RSA key.
func LoadPair(certFile, keyFile string, now time.Time) (*tls.Certificate, []string, error) {
	certPEM, _, err := readFile(certFile)
	if err != nil {
		return nil, nil, fmt.Errorf("load a TLS certificate: %w", err)
	}
	keyPEM, keyInfo, err := readFile(keyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("load a TLS key: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, nil, fmt.Errorf("load the TLS certificate %q with the key %q: %w", certFile, keyFile, err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, nil, fmt.Errorf("load the TLS certificate %q: %w", certFile, err)
		}
	}
	var warnings []string
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	if leaf := pair.Leaf; now.After(leaf.NotAfter) {
		warn("the TLS certificate %q expired on %s", certFile, stamp(leaf.NotAfter))
	} else if now.Before(leaf.NotBefore) {
		warn("the TLS certificate %q is not valid before %s", certFile, stamp(leaf.NotBefore))
	}
	if m := keyInfo.Mode().Perm(); m&0o007 != 0 {
		warn("the TLS key %q has mode %04o: everyone on this machine can use it", keyFile, m)
	}
	if _, ok := pair.PrivateKey.(*rsa.PrivateKey); ok {
		warn("the TLS key %q is RSA: a P-256 key makes new connections cost less than half", keyFile)
	}
	return &pair, warnings, nil
}

// NewServerCertificate makes a P-256 server certificate for host names and IP
// addresses, and the authority that signed it, whose key is thrown away: for
// trials, where no public authority would issue one. All three are PEM.
func NewServerCertificate(hosts []string, now time.Time, lifetime time.Duration) (caPEM, certPEM, keyPEM []byte, err error) {
	if len(hosts) == 0 {
		return nil, nil, nil, errors.New("make a server certificate: no host")
	}
	if lifetime <= 0 {
		return nil, nil, nil, fmt.Errorf("make a server certificate: lifetime %v is not positive", lifetime)
	}
	ca, caKey, err := newAuthority("Gatepost trial authority for "+hosts[0], now, now.Add(lifetime))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make a server certificate: %w", err)
	}
	cert, key, err := newServer(hosts, ca, caKey)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make a server certificate: %w", err)
	}
	keyPEM, err = encodeKey(key)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make a server certificate: %w", err)
	}
	return CertificatePEM(ca), CertificatePEM(cert), keyPEM, nil
}

func newServer(hosts []string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: hosts[0][:min(len(hosts[0]), maxCommonName)]},
		NotBefore:             ca.NotBefore,
		NotAfter:              ca.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if normalHost(h) == "" {
			return nil, nil, fmt.Errorf("%q is not a host", h)
		}
		if ip, err := netip.ParseAddr(h); err == nil {
			template.IPAddresses = append(template.IPAddresses, net.IP(ip.AsSlice()))
		} else {
			template.DNSNames = append(template.DNSNames, normalHost(h))
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	cert, err := sign(template, ca, key.Public(), caKey)
	return cert, key, err
}
