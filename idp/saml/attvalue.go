package saml

import (
	"bytes"
	"encoding/xml"
	"strings"
	"unicode/utf8"
)

// normalise gives the attributes of the start tag that was written as raw the
// values that they have (XML 1.0 section 3.3.3): a TAB, LF, CR or CR LF that
// stands there as itself is a space, which encoding/xml leaves to its caller.
// One that a reference stands for stays. Signatures are made over these values.
func normalise(attrs []xml.Attr, raw []byte) {
	if !bytes.ContainsAny(raw, "\t\n\r") {
		return
	}
	for i := range attrs {
		// The tag was parsed: outside of values it holds no quotes.
		from := bytes.IndexAny(raw, `"'`)
		length := bytes.IndexByte(raw[from+1:], raw[from])
		value := raw[from+1:][:length]
		raw = raw[from+1+length+1:]
		if strings.ContainsAny(attrs[i].Value, "\t\n\r") {
			attrs[i].Value = normalValue(attrs[i].Value, value)
		}
	}
}

// normalValue puts the spaces into one value. Each line's end is one character
// of it already, and so is each reference.
func normalValue(value string, raw []byte) string {
	b, at := []byte(value), 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '&':
			i += bytes.IndexByte(raw[i:], ';')
			_, size := utf8.DecodeRune(b[at:])
			at += size
			continue
		case '\r':
			if i+1 < len(raw) && raw[i+1] == '\n' {
				i++
			}
			b[at] = ' '
		case '\n', '\t':
			b[at] = ' '
		}
		at++
	}
	return string(b)
}
