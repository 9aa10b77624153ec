package certs

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxForwarded bounds, in bytes, what a proxy forwards: the certificates that a
// client may present, in base64 and percent-encoded.
const maxForwarded = 64 << 10

// parseClientCert reads one certificate as a byte sequence of RFC 8941 section
// 3.3.5, without parameters (RFC 9440 section 2.2).
func parseClientCert(value string) ([]*x509.Certificate, error) {
	c, err := parseByteSequence(value)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{c}, nil
}

// parseClientCertChain reads a list of them (RFC 9440 section 2.3).
func parseClientCertChain(value string) ([]*x509.Certificate, error) {
	items := strings.SplitN(value, ",", maxIntermediates+1)
	if len(items) > maxIntermediates {
		return nil, fmt.Errorf("more than %d certificates", maxIntermediates)
	}
	var chain []*x509.Certificate
	for _, item := range items {
		c, err := parseByteSequence(strings.Trim(item, " \t"))
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return chain, nil
}

func parseByteSequence(value string) (*x509.Certificate, error) {
	if len(value) < 2 || value[0] != ':' || value[len(value)-1] != ':' {
		return nil, errors.New("not a byte sequence between colons")
	}
	return parseBase64(value[1 : len(value)-1])
}

// parseCaddy reads one certificate, its DER in base64.
func parseCaddy(value string) ([]*x509.Certificate, error) {
	c, err := parseBase64(value)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{c}, nil
}

// parseTraefik reads certificates in PEM without its first and last lines and
// line breaks, separated by commas; up to version 2 it was percent-encoded.
func parseTraefik(value string) ([]*x509.Certificate, error) {
	value, err := url.PathUnescape(value)
	if err != nil {
		return nil, err
	}
	items := strings.SplitN(value, ",", maxIntermediates+2)
	if len(items) > maxIntermediates+1 {
		return nil, fmt.Errorf("more than %d certificates", maxIntermediates+1)
	}
	var chain []*x509.Certificate
	for _, item := range items {
		c, err := parseBase64(item)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// parseEscapedPEM reads certificates in percent-encoded PEM. A plus stands for
// itself: AWS leaves it as it is, nginx encodes it.
func parseEscapedPEM(value string) ([]*x509.Certificate, error) {
	text, err := url.PathUnescape(value)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	// encoding/pem would skip whatever else is there.
	for text = strings.TrimLeft(text, "\r\n"); text != ""; text = strings.TrimLeft(text, "\r\n") {
		if len(chain) > maxIntermediates {
			return nil, fmt.Errorf("more than %d certificates", maxIntermediates+1)
		}
		rest, begins := strings.CutPrefix(text, "-----BEGIN CERTIFICATE-----")
		body, rest, ends := strings.Cut(rest, "-----END CERTIFICATE-----")
		if !begins || !ends {
			return nil, errors.New("not certificates in PEM")
		}
		c, err := parseBase64(strings.NewReplacer("\r", "", "\n", "").Replace(body))
		if err != nil {
			return nil, err
		}
		chain, text = append(chain, c), rest
	}
	if len(chain) == 0 {
		return nil, errors.New("no certificate in PEM")
	}
	return chain, nil
}

// parseBase64 reads one certificate of one text in base64 (RFC 4648 section 4).
func parseBase64(text string) (*x509.Certificate, error) {
	// The decoder skips line breaks.
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("no certificate in base64")
	}
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// parseEnvoy reads the one element of x-forwarded-client-cert. A second one
// means a second proxy, or that the client sent the first: Envoy must be set to
// SANITIZE_SET.
func parseEnvoy(value string) ([]*x509.Certificate, error) {
	var leaf, chain []*x509.Certificate
	for end := false; !end; {
		key, text, rest, err := cutPair(value)
		if err != nil {
			return nil, err
		}
		switch key = strings.ToLower(key); {
		case key == "cert" && leaf == nil:
			leaf, err = parseEscapedPEM(text)
		case key == "chain" && chain == nil:
			chain, err = parseEscapedPEM(text)
		case key == "cert" || key == "chain":
			err = errors.New("given twice")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		value, end = rest, rest == ""
	}
	switch {
	case chain == nil && len(leaf) == 1:
		return leaf, nil
	case chain == nil && leaf == nil:
		return nil, errors.New("neither Cert nor Chain: let the proxy forward them")
	case chain == nil || leaf != nil && (len(leaf) != 1 || !leaf[0].Equal(chain[0])):
		return nil, errors.New("what Cert holds is not one certificate, the first of Chain")
	}
	return chain, nil
}

// cutPair takes one key=value from an element; rest is what follows its
// semicolon, empty at the end. Values with separators in them are quoted, quotes
// in them escaped by a backslash.
func cutPair(text string) (key, value, rest string, err error) {
	key, after, ok := strings.Cut(text, "=")
	if !ok || key == "" || len(key) > 16 || strings.ContainsAny(key, ` ",;`) {
		return "", "", "", errors.New("not key=value")
	}
	if quoted, ok := strings.CutPrefix(after, `"`); ok {
		end := 0
		for end < len(quoted) && quoted[end] != '"' {
			if quoted[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(quoted) {
			return "", "", "", errors.New("a quote is not closed")
		}
		value, rest = quoted[:end], quoted[end+1:]
	} else {
		end := strings.IndexAny(after, `,;"`)
		if end < 0 {
			end = len(after)
		}
		value, rest = after[:end], after[end:]
	}
	switch {
	case rest == "":
	case rest[0] == ',':
		return "", "", "", errors.New("more than one element: one proxy only may add to it")
	case rest[0] != ';' || rest == ";":
		return "", "", "", errors.New("what follows a value is no semicolon and pair")
	default:
		rest = rest[1:]
	}
	return key, value, rest, nil
}
