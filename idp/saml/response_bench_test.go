package saml_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"gatepost.dev/idp/saml"
)

// The benchmarks compare a whole signed Response with the bare RSA signatures
// in it: run them together and read the ratios.

func BenchmarkBareSignature(b *testing.B) {
	sum := sha256.Sum256([]byte("x"))
	key := provider().key
	for b.Loop() {
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResponse(b *testing.B) {
	for name, scope := range map[string]saml.Scope{"one-signature": saml.SignAssertion, "two-signatures": saml.SignBoth} {
		b.Run(name, func(b *testing.B) {
			a := withApp(sample())
			a.Scope = scope
			provider()
			b.ReportAllocs()
			for b.Loop() {
				p, err := saml.PrepareAssertion(a)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := p.Sign(b.Context(), provider().signer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// free signs for nothing, to show what is not the signature.
type free struct{ value []byte }

func (f free) Sign(context.Context, []byte) ([]byte, error) { return f.value, nil }

func BenchmarkResponseWithoutSignature(b *testing.B) {
	a := withApp(sample())
	signer := &saml.Signer{Key: free{make([]byte, 256)}, Certificate: provider().cert}
	b.ReportAllocs()
	for b.Loop() {
		p, err := saml.PrepareAssertion(a)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Sign(b.Context(), signer); err != nil {
			b.Fatal(err)
		}
	}
}
