// Package bolt is the store in one file, for one process: a store.KV over
// bbolt whose concurrent commits share one fsync, and which opens nothing that
// it cannot trust.
//
// It knows keys, values and revisions, nothing of records, and it caches
// nothing: values stay in the page cache of the operating system.
package bolt

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"gatepost.dev/store"
)

// ErrInUse is the error of opening a file that another process has open.
var ErrInUse = errors.New("in use by another process")

// Options say how Open opens a file.
type Options struct {
	// Create makes a new, empty store; the file must not exist. Without it the
	// file must exist: a mistyped path is never an empty inventory.
	Create bool
	// Timeout is how long to wait for a process that has the file open.
	// 0: 5 seconds.
	Timeout time.Duration
	// Singly gives each commit a transaction and a sync of its own. It is there to
	// measure what sharing them is worth.
	Singly bool
}

// bucket holds every key. A value is stored behind its revision.
var bucket = []byte("gatepost")

// DB is an open store file.
type DB struct {
	file   *os.File
	bolt   *bbolt.DB
	queue  queue
	singly bool
	ended  chan struct{} // closed when the committer has ended

	unwritable error                 // why nothing may be written any more; the committer's
	unusable   atomic.Pointer[error] // why nothing may be read either

	closing  sync.Once
	closeErr error
}

var _ store.KV = (*DB)(nil)

// Open opens the store file at path, or creates it with mode 0600. A file that
// is missing, already there (with Create), in use (ErrInUse), damaged, cut short
// or none of ours (store.ErrDamaged) is an error of one line that says what to
// do; nothing in the file is changed then.
func Open(path string, o Options) (*DB, error) {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	f, err := openFile(path, o.Create)
	if err != nil {
		return nil, err
	}
	db, err := open(f, o)
	if err != nil {
		f.Close() // bbolt may have closed it already
		if o.Create {
			os.Remove(path) // ours, and half made
		}
		return nil, fmt.Errorf("store file %q: %w", path, err)
	}
	d := &DB{file: f, bolt: db, singly: o.Singly, ended: make(chan struct{})}
	d.queue.init()
	go d.run()
	return d, nil
}

func open(f *os.File, o Options) (*bbolt.DB, error) {
	if err := lock(f, o.Timeout); err != nil {
		return nil, err
	}
	if !o.Create {
		if err := check(f); err != nil {
			return nil, err
		}
	}
	db, err := openBolt(f, o.Timeout)
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, inUse(f)
	}
	if err != nil {
		return nil, err
	}
	if err := prepare(db, o.Create); err != nil {
		db.Close()
		return nil, err
	}
	if o.Create {
		err = syncFolder(f.Name())
	}
	return db, err
}

// openBolt hands bbolt the file that was locked and checked. bbolt panics on
// some damaged files, after it has mapped them.
func openBolt(f *os.File, timeout time.Duration) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(p)
		}
	}()
	return bbolt.Open(f.Name(), 0o600, &bbolt.Options{
		Timeout:      timeout,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f, nil },
	})
}

// prepare makes the bucket in a new file and demands it of an old one.
func prepare(db *bbolt.DB, create bool) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(p)
		}
	}()
	if create {
		return db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket(bucket)
			return err
		})
	}
	return db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucket) == nil {
			return errForeign
		}
		return nil
	})
}

// damaged is the error for a panic p of bbolt.
func damaged(p any) error {
	why, _, _ := strings.Cut(fmt.Sprint(p), "\n")
	return fmt.Errorf("%w: %s; restore a backup", store.ErrDamaged, why)
}

// Close waits for the commits in hand and closes the file.
func (d *DB) Close() error {
	d.closing.Do(func() {
		d.queue.close()
		<-d.ended
		if d.unwritable != nil || d.unusable.Load() != nil {
			// bbolt may still hold the locks that its own Close takes.
			d.closeErr = d.file.Close()
		} else {
			d.closeErr = d.bolt.Close()
		}
	})
	return d.closeErr
}
