package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"
	"time"
)

// BenchmarkSign shows what the slots and the interface add to a bare signature:
// both are made in turn, in one run, and "bare-ratio" is ours over bare.
func BenchmarkSign(b *testing.B) {
	b.Run(RS256, func(b *testing.B) { benchmarkSign(b, rsa2048) })
	b.Run(ES256, func(b *testing.B) { benchmarkSign(b, p256) })
}

func benchmarkSign(b *testing.B, kind Kind) {
	key := newTestRing(b, kind).Signing()
	digest := sha256.Sum256([]byte("answer"))
	ctx := b.Context()
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := key.Sign(ctx, digest[:]); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		if _, err := key.signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
		ours += middle.Sub(start)
		theirs += time.Since(middle)
	}
	b.ReportMetric(float64(ours)/float64(theirs), "bare-ratio")
	b.ReportMetric(float64(ours.Microseconds())/float64(b.N), "µs/signature")
}

func BenchmarkVerify(b *testing.B) {
	ours := root("Device authority")
	corp := root("Corporate root")
	issuing := corp.sub("Issuing")
	v := newTestVerifier(b, builtIn(ours), trusted(corp, IDFromCN))
	short, long := chain(ours.leaf()), chain(issuing.leaf(), issuing.cert)
	hostile := tangled(root(ours.cert.Subject.CommonName))
	b.Run("remembered", func(b *testing.B) {
		for b.Loop() {
			if _, err := v.Verify(short, testNow); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			if j := v.judge(short); j.err != nil {
				b.Fatal(j.err)
			}
		}
	})
	b.Run("new with an intermediate", func(b *testing.B) {
		for b.Loop() {
			if j := v.judge(long); j.err != nil {
				b.Fatal(j.err)
			}
		}
	})
	b.Run("hostile", func(b *testing.B) {
		for b.Loop() {
			if j := v.judge(hostile); !errors.Is(j.err, ErrUntrusted) {
				b.Fatal(j.err)
			}
		}
	})
}
