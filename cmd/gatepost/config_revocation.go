package main

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"gatepost.dev/certs"
	"gatepost.dev/certs/revocation"
)

// validateRevocation wants lists that are files or URLs, each once, and a word or
// a URL for OCSP.
func (c *Config) validateRevocation(f *findings, path string, a Authority) {
	if len(a.CRL) == 0 && f.written(path+".crl") && !f.faulty(path+".crl") {
		f.add(path+".crl", "holds no list", "write the paths or URLs of the authority's revocation lists, or delete the key")
	}
	for i, name := range a.CRL {
		item := fmt.Sprintf("%s.crl[%d]", path, i)
		first := slices.Index(a.CRL, name)
		switch {
		case name == "": // a fault already
		case first < i:
			f.add(item, fmt.Sprintf("is the same as %s.crl[%d]", path, first), "delete one")
		case namesUser(name):
			f.add(item, "holds a user name", "write a URL without one") // not quoted: it may be a password
		case strings.Contains(name, "://") && !isWebURL(name):
			f.add(item, quote(name)+" is no http or https URL", "write one, or the path of a file")
		}
	}
	switch a.OCSP {
	case "", revocation.OCSPOff, revocation.OCSPOn:
	default:
		if namesUser(a.OCSP) {
			f.add(path+".ocsp", "holds a user name", "write a URL without one")
		} else if !isWebURL(a.OCSP) {
			f.add(path+".ocsp", quote(a.OCSP)+" is not known", "write off, on or the http URL of a responder")
		}
	}
}

// isWebURL tells whether that is a URL that can be asked.
func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.Fragment == ""
}

func namesUser(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.User != nil
}

// checkRevocation reads the lists of an authority that are files. What is wrong
// with them is only worth a warning: the devices of the others go on. known are
// the keys of which revocation is configured already.
func (k *checker) checkRevocation(path string, a Authority, ca, builtIn *x509.Certificate, known map[string]string) {
	asks := a.OCSP != "" && a.OCSP != revocation.OCSPOff
	if len(a.CRL) == 0 && !asks {
		return
	}
	if ca.Equal(builtIn) {
		k.add(path, "looks up revocation for the built-in authority, whose revocations are in the inventory", "delete crl and ocsp here")
		return
	}
	key := certs.KeyHash(ca)
	if other, again := known[key]; again {
		k.add(path, "has the key of "+other+", where revocation is configured already", "write crl and ocsp at one of them")
	}
	known[key] = path
	for i, name := range a.CRL {
		if revocation.IsURL(name) {
			continue // fetched when the server runs
		}
		k.checkList(fmt.Sprintf("%s.crl[%d]", path, i), name, ca)
	}
}

func (k *checker) checkList(path, name string, ca *x509.Certificate) {
	if k.ctx.Err() != nil || k.faulty(path) {
		return
	}
	const instead = "until it is there and current, no device of the authority is recognised"
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() { // and reading a pipe might not end
		k.warn(path, quote(name)+" is no file", instead)
		return
	}
	data, err := readUpTo(name, revocation.MaxListBytes)
	if err != nil {
		k.warn(path, quote(name)+" "+err.Error(), instead)
		return
	}
	l, err := revocation.ParseList(data, ca, k.now)
	switch {
	case err != nil:
		k.warn(path, quote(name)+": "+err.Error(), instead)
	case !l.Current(k.now):
		k.warn(path, quote(name)+" was good until "+l.NextUpdate.UTC().Format(dateInFault), instead)
	}
}
