package templates

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// The answer is rendered at every sign-in, so html/template renders it only
// once, with marks where the values belong; after that the pieces between the
// marks and the escaped values are joined. A fuzz test holds both ways equal.

// mark stands for a value while html/template renders. No escaper changes any.
type mark string

const (
	markNone      mark = ""
	markNonce     mark = "gatepost-mark-nonce"
	markAction    mark = "https://gatepost-mark.invalid/action"
	markReference mark = "gatepost-mark-reference"
)

// The marks of a field end in a digit that counts it.
const (
	markName  = "gatepost-mark-name-"
	markValue = "gatepost-mark-value-"
)

// maxFields is how many fields an answer may have.
const maxFields = 6

// piece is fixed text and the value after it.
type piece struct {
	text  string
	then  mark
	field int // for markName and markValue
}

// answerKind is what chooses the fixed text of an answer.
type answerKind struct {
	notice Notice
	fields int
}

var answerPieces = sync.OnceValues(func() (map[answerKind][]piece, error) {
	kinds := make(map[answerKind][]piece)
	for n := range int(notices) * (maxFields + 1) {
		kind := answerKind{Notice(n % int(notices)), n / int(notices)}
		a := Answer{Action: string(markAction), Notice: kind.notice, Reference: string(markReference)}
		for i := range kind.fields {
			digit := strconv.Itoa(i)
			a.Fields = append(a.Fields, Field{markName + digit, markValue + digit})
		}
		html, err := execute(a, string(markNonce))
		if err != nil {
			return nil, err
		}
		kinds[kind] = split(string(html))
	}
	return kinds, nil
})

// split cuts html at its marks.
func split(html string) []piece {
	var pieces []piece
	for {
		p, next := piece{text: html}, ""
		for _, m := range []mark{markNonce, markAction, markReference, markName, markValue} {
			if before, after, found := strings.Cut(html, string(m)); found && len(before) < len(p.text) {
				p, next = piece{text: before, then: m}, after
			}
		}
		if p.then == markName || p.then == markValue {
			p.field, next = int(next[0]-'0'), next[1:]
		}
		pieces = append(pieces, p)
		if p.then == markNone {
			return pieces
		}
		html = next
	}
}

func (a Answer) render(nonce string) ([]byte, error) {
	u, err := url.Parse(a.Action)
	if err != nil {
		return nil, fmt.Errorf("action: %w", err)
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return nil, fmt.Errorf("action %q is not an http or https URL", a.Action)
	}
	if a.Notice < 0 || a.Notice >= notices {
		return nil, fmt.Errorf("notice %d is not known", a.Notice)
	}
	if len(a.Fields) > maxFields {
		return nil, fmt.Errorf("answer with %d fields, at most %d are possible", len(a.Fields), maxFields)
	}
	kinds, err := answerPieces()
	if err != nil {
		return nil, err
	}
	pieces := kinds[answerKind{a.Notice, len(a.Fields)}]
	size := 256 + len(a.Action)
	for _, f := range a.Fields {
		size += len(f.Name) + len(f.Value)*17/16 // a plus sign in 64 becomes 5 bytes
	}
	for _, p := range pieces {
		size += len(p.text)
	}
	html := make([]byte, 0, size)
	for _, p := range pieces {
		html = append(html, p.text...)
		switch p.then {
		case markNonce:
			html = appendEscaped(html, nonce)
		case markAction:
			html = appendEscaped(html, normalizeURL(a.Action))
		case markName:
			html = appendEscaped(html, a.Fields[p.field].Name)
		case markValue:
			html = appendValue(html, a.Fields[p.field].Value)
		case markReference:
			html = appendEscaped(html, a.Reference)
		}
	}
	return html, nil
}

// escapes is what html/template writes in text and in quoted attributes.
var escapes = [256]string{
	0: "\uFFFD", '"': "&#34;", '&': "&amp;", '\'': "&#39;", '+': "&#43;", '<': "&lt;", '>': "&gt;",
}

func appendEscaped(dst []byte, s string) []byte {
	from := 0
	for i := range len(s) {
		if e := escapes[s[i]]; e != "" {
			dst = append(append(dst, s[from:i]...), e...)
			from = i + 1
		}
	}
	return append(dst, s[from:]...)
}

// appendValue is appendEscaped for a value that may be long base64, in which only
// plus signs need an escape: looking for one byte at a time is four times as fast.
func appendValue(dst []byte, s string) []byte {
	for _, c := range []byte("\x00\"&'<>") {
		if strings.IndexByte(s, c) >= 0 {
			return appendEscaped(dst, s)
		}
	}
	for {
		plus := strings.IndexByte(s, '+')
		if plus < 0 {
			return append(dst, s...)
		}
		dst = append(append(dst, s[:plus]...), escapes['+']...)
		s = s[plus+1:]
	}
}

// normalizeURL percent-encodes what html/template does in a URL: everything but
// reserved and unreserved characters (RFC 3986 section 2) and valid escapes, and
// of the reserved ones the quote and the parentheses.
func normalizeURL(s string) string {
	const hex = "0123456789abcdef"
	var b []byte
	from := 0
	for i := range len(s) {
		if plainInURL(s[i]) || s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			continue
		}
		b = append(append(b, s[from:i]...), '%', hex[s[i]>>4], hex[s[i]&15])
		from = i + 1
	}
	if from == 0 {
		return s
	}
	return string(append(b, s[from:]...))
}

func plainInURL(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$&*+,/:;=?@[]-._~", c) >= 0
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// SurvivesForm tells whether a browser that submits an Answer delivers the value
// s of a field byte for byte. It does not when s is not UTF-8, holds a NUL, or a
// CR or LF that is not part of a CR LF: a form submission turns those into CR LF
// (HTML standard, "converting an entry list to a list of name-value pairs").
func SurvivesForm(s string) bool {
	bare := strings.ReplaceAll(s, "\r\n", "")
	return utf8.ValidString(s) && !strings.ContainsAny(bare, "\x00\r\n")
}
