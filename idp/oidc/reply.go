package oidc

import (
	"net/url"
	"strings"
)

// Reply is an authorization response on its way through the browser, to a
// registered redirect URI.
type Reply struct {
	RedirectURI string
	Fields      []Parameter
	FormPost    bool // as a form (OAuth 2.0 Form Post Response Mode), else as the query of URL
}

// Success answers with a code (RFC 6749 section 4.1.2).
func (a *Authorization) Success(issuer, code string) Reply {
	return a.reply(issuer, Parameter{"code", code})
}

// Refusal answers with an error (RFC 6749 section 4.1.2.1).
func (a *Authorization) Refusal(issuer string, e *Error) Reply {
	if e.Description == "" {
		return a.reply(issuer, Parameter{"error", e.Code})
	}
	return a.reply(issuer, Parameter{"error", e.Code}, Parameter{"error_description", e.Description})
}

// reply adds what every answer carries: the state exactly as it came, and who
// answers (RFC 9207).
func (a *Authorization) reply(issuer string, fields ...Parameter) Reply {
	if a.State != "" {
		fields = append(fields, Parameter{"state", a.State})
	}
	if !a.Client.OmitIss {
		fields = append(fields, Parameter{"iss", issuer})
	}
	return Reply{RedirectURI: a.RedirectURI, Fields: fields, FormPost: a.FormPost}
}

// URL is where the browser goes for a reply by query. A query that the redirect
// URI has of its own stays as it is (RFC 6749 section 3.1.2).
func (r *Reply) URL() string {
	var b strings.Builder
	b.WriteString(r.RedirectURI)
	separator := "?"
	if _, query, ok := strings.Cut(r.RedirectURI, "?"); ok && query == "" {
		separator = ""
	} else if ok {
		separator = "&"
	}
	for _, f := range r.Fields {
		b.WriteString(separator)
		b.WriteString(url.QueryEscape(f.Name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(f.Value))
		separator = "&"
	}
	return b.String()
}
