package certs

import (
	"crypto/x509"
	"testing"
)

func TestNewVerifierRefuses(t *testing.T) {
	t.Parallel()
	ours := root("Device authority")
	leaf := issuer{cert: ours.leaf()}
	noSign := root("No", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	critical := root("Critical", extension(true))
	tests := []struct {
		name string
		list []TrustedAuthority
		part string
	}{
		{"none", nil, "there is none"},
		{"no certificate", []TrustedAuthority{{IDFrom: IDFromCN}}, "without a certificate"},
		{"not an authority", []TrustedAuthority{trusted(leaf, IDFromCN)}, "not an authority's"},
		{"may not sign", []TrustedAuthority{trusted(noSign, IDFromCN)}, "forbids it to issue"},
		{"critical extension", []TrustedAuthority{trusted(critical, IDFromCN)}, "unknown critical extension"},
		{"id_from", []TrustedAuthority{trusted(ours, "mac")}, `id_from "mac"`},
		{"built-in by CN", []TrustedAuthority{{Certificate: ours.cert, IDFrom: IDFromCN, BuiltIn: true}}, "identifies by uri"},
		{"twice", []TrustedAuthority{builtIn(ours), builtIn(ours)}, "named twice"},
		{"one key, two ways", []TrustedAuthority{builtIn(ours), trusted(ours.renewed(), IDFromURI)}, "different ways"},
		{"all faults", []TrustedAuthority{trusted(leaf, IDFromCN), trusted(ours, "mac")}, "mac"},
		{"all faults, the first too", []TrustedAuthority{trusted(leaf, IDFromCN), trusted(ours, "mac")}, "not an authority's"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewVerifier(tt.list)
			wantError(t, err, nil, tt.part)
		})
	}
}
