package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"gatepost.dev/store"
)

// testCounter: 64 goroutines count one counter up; no update is lost.
func testCounter(t *testing.T, kv store.KV) {
	const goroutines, each = 64, 10
	commit(t, kv, put("n", "0", store.Absent))
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				if err := countUp(t.Context(), kv, "n"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if e := get(t, kv, "n"); string(e.Value) != strconv.Itoa(goroutines*each) {
		t.Errorf("counter is %s after %d updates", e.Value, goroutines*each)
	}
}

func countUp(ctx context.Context, kv store.KV, key string) error {
	for {
		e, err := kv.Get(ctx, key)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(e.Value))
		if err != nil {
			return err
		}
		err = kv.Commit(ctx, put(key, strconv.Itoa(n+1), e.Rev))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// testClaimOnce: of 100 parallel claims of one key exactly one succeeds.
func testClaimOnce(t *testing.T, kv store.KV) {
	for round := range 10 {
		key := fmt.Sprintf("claim/%d", round)
		var won atomic.Int32
		var winner atomic.Value
		race(100, func(i int) {
			mine := strconv.Itoa(i)
			switch err := kv.Commit(t.Context(), put("by/"+mine, mine, store.Any), put(key, mine, store.Absent)); {
			case err == nil:
				won.Add(1)
				winner.Store(mine)
			case !errors.Is(err, store.ErrConflict):
				t.Error(err)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("%d claims of one key succeeded", won.Load())
		}
		if e := get(t, kv, key); string(e.Value) != winner.Load() {
			t.Errorf("key holds %q, but %q won", e.Value, winner.Load())
		}
	}
}

// race runs n calls of f as much at once as can be.
func race(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

// testTransfers: commits over two keys move units between accounts; every scan
// sees the same total, so none sees half a commit.
func testTransfers(t *testing.T, kv store.KV) {
	const accounts, movers, each = 5, 16, 15
	key := func(i int) string { return fmt.Sprintf("account/%d", i) }
	for i := range accounts {
		commit(t, kv, put(key(i), "100", store.Absent))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var auditors sync.WaitGroup
	for range 2 {
		auditors.Go(func() {
			for ctx.Err() == nil {
				entries, err := kv.Scan(t.Context(), "account/", "", accounts)
				total := 0
				for _, e := range entries {
					n, _ := strconv.Atoi(string(e.Value))
					total += n
				}
				if err != nil || total != accounts*100 {
					t.Errorf("scan sees a total of %d: %v", total, err)
					return
				}
			}
		})
	}
	race(movers, func(m int) {
		random := rand.New(rand.NewPCG(uint64(m), 1))
		for range each {
			from := random.IntN(accounts)
			to := (from + 1 + random.IntN(accounts-1)) % accounts
			for {
				err := move(t.Context(), kv, key(from), key(to))
				if err == nil {
					break
				}
				if !errors.Is(err, store.ErrConflict) {
					t.Error(err)
					return
				}
			}
		}
	})
	cancel()
	auditors.Wait()
}

func move(ctx context.Context, kv store.KV, from, to string) error {
	a, err := kv.Get(ctx, from)
	if err != nil {
		return err
	}
	b, err := kv.Get(ctx, to)
	if err != nil {
		return err
	}
	x, _ := strconv.Atoi(string(a.Value))
	y, _ := strconv.Atoi(string(b.Value))
	return kv.Commit(ctx, put(from, strconv.Itoa(x-1), a.Rev), put(to, strconv.Itoa(y+1), b.Rev))
}

// testRegisters: a read that begins after a write was acknowledged sees that
// write or a later one, also while callers give up halfway and take their
// memory back.
func testRegisters(t *testing.T, kv store.KV) {
	const registers, writers, readers, each = 3, 12, 4, 25
	var acknowledged [registers]atomic.Int64
	key := func(i int) string { return fmt.Sprintf("register/%d", i) }
	for i := range registers {
		commit(t, kv, put(key(i), "0", store.Absent))
	}
	read := func(i int) (int64, uint64) {
		floor := acknowledged[i].Load()
		e := get(t, kv, key(i))
		n, err := strconv.ParseInt(string(e.Value), 10, 64)
		if err != nil || n < floor {
			t.Errorf("register holds %q, %d was acknowledged before: %v", e.Value, floor, err)
		}
		return n, e.Rev
	}
	race(writers+readers, func(g int) {
		i := g % registers
		for round := range each {
			n, rev := read(i)
			if g >= writers {
				continue
			}
			ctx, cancel := context.WithCancel(t.Context())
			value := strconv.AppendInt(nil, n+1, 10)
			if round%3 == 0 {
				go cancel()
			}
			err := kv.Commit(ctx, store.Op{Kind: store.Put, Key: key(i), Value: value, Rev: rev})
			copy(value, "garbage")
			cancel()
			for err == nil {
				old := acknowledged[i].Load()
				if old >= n+1 || acknowledged[i].CompareAndSwap(old, n+1) {
					break
				}
			}
			if err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
}
