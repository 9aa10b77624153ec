package tpm

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"
)

// Names in a subjectAltName, and within them.
var (
	oidPermanentIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 3} // RFC 4043
	oidManufacturer        = asn1.ObjectIdentifier{2, 23, 133, 2, 1}
	oidModel               = asn1.ObjectIdentifier{2, 23, 133, 2, 2}
	oidVersion             = asn1.ObjectIdentifier{2, 23, 133, 2, 3}
)

// ekURN starts a URI that names a TPM by the base64 of the SHA-256 of its
// endorsement key's SubjectPublicKeyInfo.
const ekURN = "urn:ek:sha256:"

// maxName bounds a name, and maxNames how many are taken.
const (
	maxName  = 256
	maxNames = 32
)

// names are what a subjectAltName says.
type names struct {
	identifiers            []string // RFC 4043, and URIs of ekURN
	ek                     string   // hex, of ekURN
	vendor, model, version string
}

// parseNames reads the certificate's subjectAltName as far as it concerns us; the
// names in it may be of kinds that crypto/x509 leaves out.
func parseNames(cert *x509.Certificate) (*names, error) {
	out := &names{}
	i := slices.IndexFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidSAN) })
	if i < 0 {
		return out, nil
	}
	var all []asn1.RawValue
	if rest, err := asn1.Unmarshal(cert.Extensions[i].Value, &all); err != nil || len(rest) > 0 {
		return nil, bad("read subjectAltName: not a sequence of names")
	}
	if len(all) > maxNames {
		return nil, bad("a subjectAltName of %d names; at most %d are taken", len(all), maxNames)
	}
	for _, n := range all {
		if n.Class != asn1.ClassContextSpecific {
			return nil, bad("read subjectAltName: a name of class %d", n.Class)
		}
		var err error
		switch n.Tag { // RFC 5280 section 4.2.1.6
		case 0:
			err = out.other(n.FullBytes)
		case 4:
			err = out.directory(n.Bytes)
		case 6:
			err = out.uri(string(n.Bytes))
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// other reads an otherName.
func (o *names) other(der []byte) error {
	var other struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	if rest, err := asn1.UnmarshalWithParams(der, &other, "tag:0"); err != nil || len(rest) > 0 {
		return bad("read subjectAltName: malformed otherName")
	}
	switch {
	case !other.ID.Equal(oidPermanentIdentifier):
		return nil
	case other.Value.Class != asn1.ClassContextSpecific || other.Value.Tag != 0:
		return bad("read subjectAltName: malformed otherName")
	}
	var permanent struct {
		Value    string                `asn1:"utf8,optional"`
		Assigner asn1.ObjectIdentifier `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(other.Value.Bytes, &permanent); err != nil || len(rest) > 0 {
		return bad("read subjectAltName: malformed permanent identifier")
	}
	if permanent.Value == "" { // then the subject's serial number would be meant
		return nil
	}
	if !plain(permanent.Value) {
		return bad("a permanent identifier that is too long, or of characters that do not print")
	}
	o.identifiers = append(o.identifiers, permanent.Value)
	return nil
}

// directory reads a directoryName: what the TPM is.
func (o *names) directory(der []byte) error {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return bad("read subjectAltName: malformed directoryName")
	}
	for _, set := range name {
		for _, a := range set {
			text, ok := a.Value.(string)
			if !ok || !plain(text) {
				continue
			}
			switch {
			case a.Type.Equal(oidManufacturer):
				o.vendor = vendor(text)
			case a.Type.Equal(oidModel):
				o.model = text
			case a.Type.Equal(oidVersion):
				o.version = text
			}
		}
	}
	return nil
}

// uri reads a URI.
func (o *names) uri(uri string) error {
	encoded, ok := strings.CutPrefix(uri, ekURN)
	if !ok {
		return nil
	}
	hash, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(hash) != 32 {
		return bad("the URI %.80q, which names no endorsement key", uri)
	}
	if o.ek != "" {
		return bad("the names of two endorsement keys")
	}
	o.ek = hex.EncodeToString(hash)
	o.identifiers = append(o.identifiers, uri)
	return nil
}

// vendor makes a vendor's letters of "id:" and their hexadecimal digits, as the
// TCG's registry has them: "id:494E5443" is INTC. Others stay as they are.
func vendor(text string) string {
	digits, ok := strings.CutPrefix(text, "id:")
	letters, err := hex.DecodeString(digits)
	if s := strings.TrimRight(string(letters), " \x00"); ok && err == nil && s != "" && plain(s) {
		return s
	}
	return text
}

// plain tells whether a name can be kept, compared and shown.
func plain(s string) bool {
	return s != "" && len(s) <= maxName && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xFFFD })
}
