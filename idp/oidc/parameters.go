package oidc

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// Bounds of what is read, in bytes.
const (
	maxEncoded    = 64 << 10 // a query string or a form body
	maxParameters = 64       // in it
	maxValue      = 4 << 10  // of each, decoded
	maxDocument   = 16 << 10 // of each that holds a document, which costs more to read than to send
)

// parameters are decoded, by name. One without a value is as good as absent (RFC
// 6749 section 3.1), which the map's zero value makes so.
type parameters map[string]string

// parseParameters decodes application/x-www-form-urlencoded strictly. No value
// holds a control byte.
func parseParameters(encoded string) (parameters, *BadRequest) {
	if len(encoded) > maxEncoded {
		return nil, bad("too_large", "parameters are %d bytes, at most %d are read", len(encoded), maxEncoded)
	}
	p := make(parameters, 16)
	for pairs := 1; encoded != ""; pairs++ {
		if pairs > maxParameters {
			return nil, bad("too_large", "more than %d parameters", maxParameters)
		}
		var pair string
		pair, encoded, _ = strings.Cut(encoded, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, bad("malformed", "name of a parameter: %w", err)
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, bad("malformed", "parameter %.80q: %w", name, err)
		}
		if _, twice := p[name]; twice {
			return nil, bad("duplicate_parameter", "parameter %.80q is given twice", name)
		}
		if b := checkValue(name, value); b != nil {
			return nil, b
		}
		p[name] = value
	}
	return p, nil
}

// checkValue refuses a value that no honest client sends.
func checkValue(name, value string) *BadRequest {
	limit := maxValue
	switch name {
	case "request", "id_token_hint", "claims", "client_assertion":
		limit = maxDocument
	}
	switch {
	case !utf8.ValidString(name) || !utf8.ValidString(value):
		return bad("malformed", "parameter %.80q is not UTF-8", name)
	case strings.ContainsFunc(value, isControl):
		return bad("malformed", "parameter %.80q has a control byte", name)
	case len(value) > limit:
		return bad("too_large", "parameter %.80q is %d bytes, at most %d are read", name, len(value), limit)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// list reads a space-delimited list (RFC 6749 section 3.3).
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' })
}
