package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatepost.dev/certs"
)

const (
	expirySoon  = 14 * 24 * time.Hour // before a certificate expires, a warning
	dateInFault = "2006-01-02 15:04 UTC"
)

// certificates reads the certificates of a PEM file, at least one.
func (k *checker) certificates(path, name string) ([]*x509.Certificate, bool) {
	data, ok := k.read(path, name)
	if !ok {
		return nil, false
	}
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			k.add(path, quote(name)+" holds a broken certificate: "+err.Error(), "make it anew")
			return nil, false
		}
		certificates = append(certificates, c)
	}
	if len(certificates) == 0 {
		k.add(path, quote(name)+" holds no certificate in PEM", "write the path of one that does")
	}
	return certificates, len(certificates) > 0
}

// checkDates finds what is wrong with the validity of a certificate. An expired
// authority is only worth a warning: the devices of the others go on.
func (k *checker) checkDates(path, name string, c *x509.Certificate, expired func(path, problem, instead string)) {
	switch left := c.NotAfter.Sub(k.now); {
	case k.now.Before(c.NotBefore):
		k.add(path, quote(name)+" is not valid before "+c.NotBefore.UTC().Format(dateInFault), "wait, or set the clock")
	case left < 0:
		expired(path, quote(name)+" expired at "+c.NotAfter.UTC().Format(dateInFault), "renew it")
	case left < expirySoon:
		k.warn(path, quote(name)+" expires at "+c.NotAfter.UTC().Format(dateInFault), "renew it")
	}
}

// checkTLS wants pairs that match, are valid, and cover each host, none of them
// both (see Config.DeviceURL).
func (k *checker) checkTLS(c *Config) {
	hosts := []string{c.IssuerHost()}
	if c.DeviceHost() != hosts[0] {
		hosts = append(hosts, c.DeviceHost())
	}
	complete := !k.faulty("tls") && len(c.TLS) > 0 && !k.faulty("issuer") && !k.faulty("device_url") && hosts[0] != "" // a misspelt key leaves it empty
	covered := map[string]bool{}
	for i, pair := range c.TLS {
		leaf, ok := k.checkPair(fmt.Sprintf("tls[%d]", i), pair)
		if !ok {
			complete = false
			continue
		}
		covers := slices.DeleteFunc(slices.Clone(hosts), func(host string) bool { return leaf.VerifyHostname(host) != nil })
		for _, host := range covers {
			covered[host] = true
		}
		path := fmt.Sprintf("tls[%d].cert", i)
		switch {
		case !complete:
		case len(covers) == 0:
			k.warn(path, quote(pair.Cert)+" covers neither the host of issuer nor that of device_url", "delete the pair")
		case len(covers) == 2:
			k.add(path, fmt.Sprintf("%s covers both %s and %s: browsers then reuse a connection, and a managed device looks unmanaged",
				quote(pair.Cert), covers[0], covers[1]), "use one certificate for each host, and no wildcard for both")
		}
	}
	for _, host := range hosts {
		if complete && !covered[host] {
			k.add("tls", "has no certificate for "+quote(host), "add a pair that covers it")
		}
	}
}

// checkPair reads one pair and gives its leaf.
func (k *checker) checkPair(path string, pair TLSPair) (*x509.Certificate, bool) {
	chain, ok := k.certificates(path+".cert", pair.Cert)
	key, keyOK := k.read(path+".key", pair.Key)
	if keyOK {
		k.secret(path+".key", pair.Key)
	}
	if !ok {
		return nil, false
	}
	leaf := chain[0]
	k.checkDates(path+".cert", pair.Cert, leaf, k.add)
	uses := leaf.ExtKeyUsage
	if len(uses)+len(leaf.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(uses, x509.ExtKeyUsageServerAuth) && !slices.Contains(uses, x509.ExtKeyUsageAny) {
		k.add(path+".cert", quote(pair.Cert)+" is not meant for servers", "use one with the extended key usage serverAuth")
	}
	if !keyOK {
		return leaf, true
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})
	if _, err := tls.X509KeyPair(block, key); err != nil {
		k.add(path+".key", quote(pair.Key)+" does not go with the certificate: "+strings.TrimPrefix(err.Error(), "tls: "),
			"write the path of its private key, PEM and without a password")
	}
	return leaf, true
}

// checkAuthorities wants certificates of authorities that the server can trust
// side by side: the rules are those of certs.NewVerifier, asked after each.
func (k *checker) checkAuthorities(c *Config) {
	const path = "devices.authority"
	own := c.Devices.Authority
	var trusted []certs.TrustedAuthority
	builtIn, ok := k.checkCA(path+".certificate", own.Certificate)
	if _, keyOK := k.stat(path+".key", own.Key, "make it with `gatepost init`, or write its path"); ok && keyOK {
		if err := k.parsers.Authority(own.Certificate, own.Key); err != nil {
			k.add(path+".key", err.Error(), "put the right certificate and key there, or make them with `gatepost init`")
		} else {
			trusted = append(trusted, certs.TrustedAuthority{Certificate: builtIn, IDFrom: certs.IDFromURI, BuiltIn: true})
		}
	}
	known := map[string]string{} // where revocation is configured, by key
	for i, a := range c.Devices.Authorities {
		path := fmt.Sprintf("devices.authorities[%d]", i)
		ca, ok := k.checkCA(path+".certificate", a.Certificate)
		if !ok || a.IDFrom == "" || k.faulty(path+".id_from") {
			continue
		}
		k.checkRevocation(path, a, ca, builtIn, known)
		if ca.Equal(builtIn) && a.IDFrom == idFromURI {
			continue // it is always there; naming it changes nothing
		}
		more := append(slices.Clip(trusted), certs.TrustedAuthority{Certificate: ca, IDFrom: certs.IDFrom(a.IDFrom)})
		if _, err := certs.NewVerifier(more); err != nil {
			k.add(path+".certificate", quote(a.Certificate)+": "+err.Error(),
				"write the path of the authority that issues the devices' certificates, once")
			continue
		}
		trusted = more
	}
}

// checkCA reads a file of one certificate.
func (k *checker) checkCA(path, name string) (*x509.Certificate, bool) {
	certificates, ok := k.certificates(path, name)
	if !ok {
		return nil, false
	}
	if len(certificates) > 1 {
		k.add(path, fmt.Sprintf("%s holds %d certificates", quote(name), len(certificates)), "write one item for each authority")
		return nil, false
	}
	k.checkDates(path, name, certificates[0], k.warn)
	return certificates[0], true
}
