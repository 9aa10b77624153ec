package certs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxKeys is how many keys are published at once: Okta holds at most two
// signature certificates for one identity provider.
const maxKeys = 2

// Keyring is a directory of signing keys of one kind:
//
//	<id>.pem   one file a key: PKCS#8 private key and certificate, mode 0600
//	signing    which key signs, which one did before, and when they changed:
//	           "signing <id>", "previous <id>", "since <time>"
//
// A key that the file "signing" does not name is next. Every change is one
// rename or one removal, so a crash leaves the ring as it was before or after a
// step, and both are good. It is safe for concurrent use; readers never wait.
//
// A second process must not change the directory at the same time. One that did
// so earlier is noticed: the next change here is refused until the ring is
// opened anew.
type Keyring struct {
	dir       string
	algorithm string
	slots     slots
	disk      disk

	mu   sync.Mutex // held by changes
	ring atomic.Pointer[ring]
}

// CreateKeyring makes dir, which must be empty or missing, with one signing key
// of that kind. The common name, the issuer's host, stands in the certificates
// of this key and of those that follow it.
func CreateKeyring(dir, commonName string, kind Kind, now time.Time) (*Keyring, error) {
	k := &Keyring{dir: dir, algorithm: kind.Algorithm, slots: newSlots()}
	if err := k.create(commonName, kind, now); err != nil {
		return nil, fmt.Errorf("create keys in %q: %w", dir, err)
	}
	return k, nil
}

func (k *Keyring) create(commonName string, kind Kind, now time.Time) error {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	if err := k.disk.sweep(k.dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("the directory is not empty: it holds %q", entries[0].Name())
	}
	id, file, err := generateKey(commonName, kind, now)
	if err != nil {
		return err
	}
	// The key first: a lone key signs even without the file that says so.
	if err := k.disk.write(k.keyPath(id), file, privateMode); err != nil {
		return err
	}
	if err := k.disk.write(k.rolesPath(), roles{signing: id}.encode(), privateMode); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(k.dir)); err != nil {
		return err
	}
	return k.load()
}

// OpenKeyring reads the keys in dir, all of which must be for that algorithm
// (RS256 or ES256). Its error names every fault.
func OpenKeyring(dir, algorithm string) (*Keyring, error) {
	return open(dir, algorithm, newSlots())
}

// Reopen reads keys for the same algorithm in dir as OpenKeyring does, for a
// reload: the new ring shares the limit on concurrent signatures with this one.
func (k *Keyring) Reopen(dir string) (*Keyring, error) {
	return open(dir, k.algorithm, k.slots)
}

func open(dir, algorithm string, s slots) (*Keyring, error) {
	k := &Keyring{dir: dir, algorithm: algorithm, slots: s}
	if err := k.load(); err != nil {
		return nil, fmt.Errorf("open keys in %q: %w", dir, err)
	}
	return k, nil
}

// Signing returns the key that signs now.
func (k *Keyring) Signing() *SigningKey { return k.ring.Load().keys[0] }

// Published returns the keys that relying parties should know, at most two, the
// signing one first.
func (k *Keyring) Published() []*SigningKey { return slices.Clone(k.ring.Load().keys) }

// Rotate adds a next key, like the signing one in name, kind and size:
// published, not yet signing. A previous key is dropped to make room. Once every
// relying party holds its certificate, Activate makes it sign. The error is a
// *TooSoon, unless forced, while relying parties may need the previous key.
func (k *Keyring) Rotate(now time.Time, force bool) (*SigningKey, error) {
	var id string
	err := k.change(func(r *ring) error {
		other := r.other()
		if other != nil && other.State == StateNext {
			return fmt.Errorf("key %q is next already: activate it first", other.ID)
		}
		if until := r.neededUntil(); !force && now.Before(until) {
			return &TooSoon{Key: other.ID, State: other.State, Until: until}
		}
		signing := r.keys[0]
		next, file, err := generateKey(signing.Certificate.Subject.CommonName, signing.kind(), now)
		if err != nil {
			return err
		}
		id = next
		return k.stage(r, id, file)
	})
	if err != nil {
		return nil, fmt.Errorf("rotate keys in %q: %w", k.dir, err)
	}
	return k.ring.Load().find(id), nil
}

// stage puts the file of a next key into the ring, in place of the other one.
func (k *Keyring) stage(r *ring, id string, file []byte) error {
	if !r.explicit {
		// A lone key signs unsaid; of two, one must be named.
		if err := k.disk.write(k.rolesPath(), roles{signing: r.keys[0].ID}.encode(), privateMode); err != nil {
			return err
		}
	}
	temp, err := k.disk.prepare(k.dir, file, privateMode)
	if err != nil {
		return err
	}
	// The old key goes only when the new one is safely written, and before it
	// has its name: there are never three. "signing" may go on naming the old
	// one as previous.
	if other := r.other(); other != nil {
		if err := k.disk.remove(k.keyPath(other.ID)); err != nil {
			return err
		}
	}
	return k.disk.commit(temp, k.keyPath(id))
}

// Activate makes the key of that ID sign: the next one, or the previous one
// again. The one that signed until now becomes previous and stays published.
// It does nothing if the key signs already. The error is a *TooSoon, unless
// forced, while relying parties may not know a next key.
func (k *Keyring) Activate(id string, now time.Time, force bool) error {
	err := k.change(func(r *ring) error {
		key := r.find(id)
		if key == nil {
			return fmt.Errorf("there is no key %q", id)
		}
		signing := r.keys[0].ID
		if id == signing {
			return nil
		}
		if until := key.unknownUntil(); !force && now.Before(until) {
			return &TooSoon{Key: id, State: key.State, Until: until}
		}
		named := roles{signing: id, previous: signing, since: now.UTC().Truncate(time.Second)}
		return k.disk.write(k.rolesPath(), named.encode(), privateMode)
	})
	if err != nil {
		return fmt.Errorf("activate a key in %q: %w", k.dir, err)
	}
	return nil
}

// change runs step on the ring as it is on disk and takes over what it made of
// it, also when it failed half-way.
func (k *Keyring) change(step func(r *ring) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, err := readRing(k.dir, k.algorithm, k.slots)
	if err != nil {
		return err
	}
	if !r.same(k.ring.Load()) {
		return errors.New("the directory was changed by another process: reload first")
	}
	if err := k.disk.sweep(k.dir); err != nil {
		return err
	}
	return errors.Join(step(r), k.load())
}

// load takes over the ring that is on disk, if it is whole.
func (k *Keyring) load() error {
	r, err := readRing(k.dir, k.algorithm, k.slots)
	if err != nil {
		return err
	}
	k.ring.Store(r)
	return nil
}

func (k *Keyring) keyPath(id string) string { return filepath.Join(k.dir, id+keySuffix) }
func (k *Keyring) rolesPath() string        { return filepath.Join(k.dir, rolesFile) }
