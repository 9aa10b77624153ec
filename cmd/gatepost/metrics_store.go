package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatepost.dev/store"
)

// watchedStore is a store whose commits are timed, and which knows whether it can
// be written to.
type watchedStore struct {
	store.KV
	now      func() time.Time
	inHand   atomic.Int64
	duration prometheus.Histogram
	failures prometheus.Counter

	mu     sync.Mutex
	wrote  time.Time // the last good commit that wrote; zero: none yet
	failed error     // of the last commit that had to write; nil: it was good, or there was none
	probed time.Time // the last try by writable
}

func newWatchedStore(kv store.KV, now func() time.Time) *watchedStore {
	return &watchedStore{
		KV: kv, now: now,
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatepost_store_commit_duration_seconds", Help: "Time of a commit that wrote, until it was durable.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatepost_store_commit_failures_total", Help: "Commits that could not be written, as on a full disk.",
		}),
	}
}

// Commit implements store.KV.
func (s *watchedStore) Commit(ctx context.Context, ops ...store.Op) error {
	s.inHand.Add(1)
	defer s.inHand.Add(-1)
	start := s.now()
	err := s.KV.Commit(ctx, ops...)
	if !writes(ops) {
		return err
	}
	end := s.now()
	switch {
	case err == nil:
		s.duration.Observe(end.Sub(start).Seconds())
		s.note(end, nil)
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrClosed), ctx.Err() != nil:
		// These say nothing of the disk.
	default:
		s.failures.Inc()
		s.note(end, err)
	}
	return err
}

func writes(ops []store.Op) bool {
	for _, op := range ops {
		if op.Kind != store.Check {
			return true
		}
	}
	return false
}

func (s *watchedStore) note(at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed = err; err == nil {
		s.wrote = at
	}
}

const (
	// trustWrite is how long a good commit proves that the next one would be good.
	trustWrite = time.Minute
	// probeEvery is how often at most something is written to find out.
	probeEvery = 2 * time.Second
	probeFor   = 2 * time.Second
)

// writable tells why nothing can be written, or nil. What commits showed counts;
// where they show a failure, or nothing of late, probe tries, so that a disk that
// has room again is noticed without anybody's sign-in, and one that is full is.
func (s *watchedStore) writable(ctx context.Context, probe func(context.Context) error) error {
	s.mu.Lock()
	now, failed := s.now(), s.failed
	proven := failed == nil && !s.wrote.IsZero() && now.Sub(s.wrote) < trustWrite
	if proven || !s.probed.IsZero() && now.Sub(s.probed) < probeEvery {
		s.mu.Unlock()
		return failed
	}
	s.probed = now
	s.mu.Unlock()

	// Who asks may leave; that must not look like a fault of the disk.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeFor)
	defer cancel()
	err := probe(ctx)
	if err != nil {
		s.note(s.now(), err) // also that it took too long
	}
	return err
}

// lastCommit is when something was last written.
func (s *watchedStore) lastCommit() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrote
}

// register makes metrics of the store, whose file is at path.
func (s *watchedStore) register(r *prometheus.Registry, path string) {
	r.MustRegister(s.duration, s.failures,
		gaugeFunc("gatepost_store_last_commit_timestamp_seconds", "When something was last written; 0: not since the start.", func() float64 {
			return timestamp(s.lastCommit())
		}),
		gaugeFunc("gatepost_store_commits_in_hand", "Commits that wait to be durable.", func() float64 { return float64(s.inHand.Load()) }),
		gaugeFunc("gatepost_store_size_bytes", "Size of the store's file.", func() float64 {
			info, err := os.Stat(path)
			if err != nil {
				return 0
			}
			return float64(info.Size())
		}),
	)
}

func gaugeFunc(name, help string, value func() float64) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

// timestamp is a time as metrics have it; 0 for none.
func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1e3
}
