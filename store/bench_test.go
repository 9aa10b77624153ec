package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

var (
	day    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	source = posture.Source{Name: "import", Kind: posture.Import}
)

func openBolt(b *testing.B, create bool, dir string) store.KV {
	b.Helper()
	kv, err := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{Create: create})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { kv.Close() })
	return kv
}

// id spreads devices over the keys, as random IDs would.
func id(n int) string { return fmt.Sprintf("%08x", uint32(n)*2654435761) }

// fill imports devices of about 500 bytes each.
func fill(b *testing.B, r *store.Records, devices int) {
	b.Helper()
	im, err := r.BeginImport(b.Context(), source, day, false)
	if err != nil {
		b.Fatal(err)
	}
	reports := make([]posture.Report, 0, 1000)
	for n := range devices {
		reports = append(reports, posture.Report{
			DeviceID: id(n), Serial: fmt.Sprintf("C02%09d", n), Vendor: "Apple", Model: "Mac15,3", OS: "macOS", OSVersion: "15.5",
			Owner: "ann@example.com",
			Facts: map[string]string{posture.FactManaged: "true", posture.FactCompliant: "true"},
		})
		if len(reports) == cap(reports) || n == devices-1 {
			if err := im.Stage(b.Context(), reports); err != nil {
				b.Fatal(err)
			}
			reports = reports[:0]
		}
	}
	if _, err := im.Commit(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkGet reads one device of many, the file in the page cache.
func BenchmarkGet(b *testing.B) {
	for _, devices := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("devices=%d", devices), func(b *testing.B) {
			dir := b.TempDir()
			kv := openBolt(b, true, dir)
			fill(b, store.New(kv), devices)
			kv.Close()
			debug.FreeOSMemory()

			start := time.Now()
			kv = openBolt(b, false, dir)
			r := store.New(kv)
			if err := r.ResumeImports(b.Context()); err != nil {
				b.Fatal(err)
			}
			opened := time.Since(start)
			n := 0
			for b.Loop() {
				if _, err := r.Device(b.Context(), id(n%devices)); err != nil {
					b.Fatal(err)
				}
				n += 7919
			}
			b.ReportMetric(float64(opened.Microseconds())/1000, "open-ms")
			b.ReportMetric(rssAnon(b)/(1<<20), "RssAnon-MB")
		})
	}
}

// rssAnon is the memory of this process in bytes, mapped files apart; 0 where
// the system does not tell.
func rssAnon(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	var kB float64
	_, after, _ := strings.Cut(string(status), "RssAnon:")
	if _, err := fmt.Sscan(after, &kB); err != nil {
		b.Fatal(err)
	}
	return kB * 1024
}

// BenchmarkDecide records decisions by as many goroutines at once.
func BenchmarkDecide(b *testing.B) {
	benchSignIns(b, func(r *store.Records, n int) error {
		return r.Decide(context.Background(), benchDecision(n), day)
	})
}

// BenchmarkGrant records decisions with their grants and redeems them: what an
// OpenID Connect sign-in costs where a SAML one costs a Decide.
func BenchmarkGrant(b *testing.B) {
	value := []byte(strings.Repeat("x", 1000))
	benchSignIns(b, func(r *store.Records, n int) error {
		g := posture.Grant{ID: fmt.Sprintf("%08x%024x", day.Unix(), n), Until: day, Value: value}
		d := benchDecision(n)
		d.RequestID = ""
		if err := r.DecideGrant(context.Background(), d, day, g); err != nil {
			return err
		}
		return r.UpdateGrant(context.Background(), g.ID, func(value []byte) ([]byte, error) {
			value[0]++
			return value, nil
		})
	})
}

// benchSignIns does b.N sign-ins in all, by as many goroutines at once.
func benchSignIns(b *testing.B, signIn func(r *store.Records, n int) error) {
	for _, goroutines := range []int{1, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			r := store.New(openBolt(b, true, b.TempDir()))
			var next, left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for range goroutines {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := signIn(r, int(next.Add(1))); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func benchDecision(n int) posture.Decision {
	return posture.Decision{
		ID: fmt.Sprintf("019aa8f0-%016x", n), Time: day, RelyingParty: "acme", Protocol: "saml", RequestID: fmt.Sprintf("_%032x", n),
		AnswerID: fmt.Sprintf("_%032x", n), Subject: "ann@example.com", DeviceID: id(n), Authority: strings.Repeat("ab", 32),
		Certificate: "0123456789abcdef", Policy: "default", Outcome: posture.Asserted, Managed: true, Compliant: true, RemoteAddr: "192.0.2.1:50000",
	}
}

// BenchmarkLastDecisions finds the last 100 of 100 000.
func BenchmarkLastDecisions(b *testing.B) {
	const all = 100_000
	r := store.New(openBolt(b, true, b.TempDir()))
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for n := g; n < all; n += 64 {
				if err := r.Decide(b.Context(), benchDecision(n), day); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for b.Loop() {
		if last, err := r.LastDecisions(b.Context(), 100); err != nil || len(last) != 100 || last[99].ID != benchDecision(all-1).ID {
			b.Fatalf("%d decisions: %v", len(last), err)
		}
	}
}

// BenchmarkImport imports 100 000 rows, first into an empty inventory, then into
// the full one.
func BenchmarkImport(b *testing.B) {
	const rows = 100_000
	for _, again := range []bool{false, true} {
		b.Run(fmt.Sprintf("again=%t", again), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				r := store.New(openBolt(b, true, b.TempDir()))
				if again {
					fill(b, r, rows)
				}
				b.StartTimer()
				fill(b, r, rows)
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
