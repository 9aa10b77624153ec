package scep

import (
	"encoding/asn1"
	"errors"
	"fmt"
)

// oidChallengePassword is of RFC 2985 section 5.4.1.
var oidChallengePassword = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}

// challengeOf is the challenge password of a certificate request in DER, empty if it
// has none. Its type is passed over: certmonger calls PrintableString what has an
// underscore, which encoding/asn1 would refuse.
func challengeOf(csr []byte) (string, error) {
	var request struct {
		Info struct {
			Version    int
			Subject    asn1.RawValue
			PublicKey  asn1.RawValue
			Attributes []asn1.RawValue `asn1:"tag:0"`
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(csr, &request); err != nil {
		return "", fmt.Errorf("challenge password: %w", err)
	}
	found := ""
	for _, raw := range request.Info.Attributes {
		var attribute struct {
			Type   asn1.ObjectIdentifier
			Values []asn1.RawValue `asn1:"set"`
		}
		if _, err := asn1.Unmarshal(raw.FullBytes, &attribute); err != nil {
			return "", fmt.Errorf("challenge password: %w", err)
		}
		switch {
		case !attribute.Type.Equal(oidChallengePassword):
		case found != "" || len(attribute.Values) != 1:
			return "", errors.New("more than one challenge password")
		default:
			found = string(attribute.Values[0].Bytes)
		}
	}
	return found, nil
}
