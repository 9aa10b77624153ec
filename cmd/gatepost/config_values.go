package main

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// missing is the problem of a key without a default that is not written.
const missing = "is missing"

// require notes that a key without a default is missing.
func require(f *findings, path, value, instead string) bool {
	if value == "" && !f.written(path) && !f.faulty(path) {
		f.add(path, missing, instead)
	}
	return value != ""
}

// hostForm is a DNS name in lower case (RFC 1123 section 2.1).
var hostForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// validateURL wants https://host or https://host:port, in the one form that
// compares equal as a string: others compare it byte for byte.
func validateURL(f *findings, path, value string) {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		f.add(path, quote(value)+" is no URL", "write https:// and a host, such as "+exampleURL)
		return
	}
	host := strings.ToLower(u.Hostname())
	if !isIP(host) && (len(host) > 253 || !hostForm.MatchString(host)) {
		f.add(path, quote(value)+" has no valid host name", "write letters, digits, dots and hyphens, others as punycode")
		return
	}
	port, err := strconv.Atoi(u.Port())
	if u.Port() != "" && (err != nil || port < 1 || port > 65535) {
		f.add(path, quote(value)+" has a port that is none", "write a port from 1 to 65535, or none for 443")
		return
	}
	right := "https://" + host
	if strings.Contains(host, ":") {
		right = "https://[" + host + "]"
	}
	if u.Port() != "" && port != 443 {
		right += ":" + strconv.Itoa(port)
	}
	if value == right {
		return
	}
	problem := "is not in lower case without port 443"
	switch {
	case u.Scheme != "https":
		problem = "is not https"
	case u.User != nil:
		problem = "holds a user name"
	case u.RawQuery != "" || u.ForceQuery:
		problem = "holds a query"
	case strings.Contains(value, "#"):
		problem = "holds a fragment"
	case u.Path == "/":
		problem = "ends in a slash"
	case u.Path != "":
		problem = "holds a path; gatepost needs a host of its own"
	}
	f.add(path, quote(value)+" "+problem, "write "+right)
}

// validateAddress wants host:port, the host empty, an IP address or a name.
func validateAddress(f *findings, path, value, example string) (host string, port int, ok bool) {
	host, portText, err := net.SplitHostPort(value)
	if err == nil && (host == "" || isIP(host) || hostForm.MatchString(host)) {
		if port, err = strconv.Atoi(portText); err == nil && port >= 0 && port <= 65535 {
			return host, port, true
		}
	}
	f.add(path, quote(value)+" is no address", "write host:port, or :port for every address, such as "+example)
	return "", 0, false
}

// nameForm is what policies and relying parties may be called: they stand in
// URLs of the API, commands and logs.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

const (
	nameProblem = "is no name"
	nameInstead = `write at most 64 letters, digits, ".", "_" and "-", the first a letter or a digit`
)

// oneOf wants one of a few words.
func oneOf(f *findings, path, value string, words ...string) {
	if !slices.Contains(words, value) {
		f.add(path, quote(value)+" is not known", "write "+list(words))
	}
}
