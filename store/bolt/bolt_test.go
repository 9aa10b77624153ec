package bolt_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
	"gatepost.dev/store/storetest"
)

// newDB makes an empty store in a folder of its own.
func newDB(t testing.TB) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), bolt.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestSuite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) store.KV { return newDB(t) })
}

func TestCrash(t *testing.T) {
	// Not parallel: the process that is killed runs this test again.
	storetest.Crash(t, func(dir string) (store.KV, error) {
		path := filepath.Join(dir, "store.db")
		db, err := bolt.Open(path, bolt.Options{})
		if errors.Is(err, fs.ErrNotExist) {
			db, err = bolt.Open(path, bolt.Options{Create: true})
		}
		return db, err
	})
}
