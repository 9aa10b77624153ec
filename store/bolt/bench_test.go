package bolt_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"gatepost.dev/store"
)

func BenchmarkCommitLone(b *testing.B) {
	db := newDB(b)
	value := make([]byte, 1024)
	n := 0
	for b.Loop() {
		n++
		if err := db.Commit(b.Context(), store.Op{Key: fmt.Sprintf("key/%08d", n*7919%100_000_007), Value: value}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := newDB(b)
			value := make([]byte, 1024)
			var n atomic.Int64
			atOnce(b, writers, func() {
				if err := db.Commit(b.Context(), store.Op{Key: fmt.Sprintf("key/%08d", n.Add(1)*7919%100_000_007), Value: value}); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// atOnce runs do b.N times in all, by that many goroutines.
func atOnce(b *testing.B, goroutines int, do func()) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				do()
			}
		})
	}
	wg.Wait()
}
