package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"gatepost.dev/store"
)

// newFile makes a closed store with some thousand keys and returns its path and
// content.
func newFile(t testing.TB) (path string, content []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "store.db")
	d, err := Open(path, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	for c := range 40 {
		var ops []store.Op
		for i := range 50 {
			ops = append(ops, put(fmt.Sprintf("key/%04d", c*50+i), strings.Repeat("v", 100), store.Any))
		}
		if err := d.Commit(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if content, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, content
}

func TestCreate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	_, err := Open(path, Options{})
	wantRefusal(t, err, fs.ErrNotExist, path, "create")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening made the file: %v", err)
	}
	d, err := Open(path, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600: %v", info.Mode(), err)
	}
	if err := d.Commit(t.Context(), put("k", "v", store.Absent)); err != nil {
		t.Fatal(err)
	}
	d.Close()
	_, err = Open(path, Options{Create: true})
	wantRefusal(t, err, fs.ErrExist, path, "remove it first")
	d, err = Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Get(t.Context(), "k"); err != nil {
		t.Errorf("a refused creation touched the store: %v", err)
	}
	_, err = Open(filepath.Join(t.TempDir(), "no", "folder", "x"), Options{Create: true})
	wantRefusal(t, err, fs.ErrNotExist, "folder")
}

// wantRefusal checks that an error is one line with those words.
func wantRefusal(t testing.TB, err, want error, words ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
		return
	}
	for _, w := range words {
		if text := err.Error(); !strings.Contains(text, w) || strings.Contains(text, "\n") || len(text) > 500 {
			t.Errorf("%q: want one line with %q", text, w)
		}
	}
}

// spoil returns a copy of content that change has changed.
func spoil(content []byte, change func(b []byte)) []byte {
	b := bytes.Clone(content)
	change(b)
	return b
}

// sign makes the checksum of the meta page at b right again.
func sign(b []byte) {
	sum := fnv.New64a()
	sum.Write(b[headerLen : headerLen+56])
	binary.NativeEndian.PutUint64(b[headerLen+56:], sum.Sum64())
}

func TestDamagedFile(t *testing.T) {
	t.Parallel()
	_, good := newFile(t)
	page := os.Getpagesize()
	first, err := parseMeta(good)
	if err != nil {
		t.Fatal(err)
	}
	second, err := parseMeta(good[page:])
	if err != nil {
		t.Fatal(err)
	}
	m := first
	if second.txid > m.txid {
		m = second
	}
	end, free, root := int(m.end)*page, int(m.freelist)*page, int(m.root)*page
	native := binary.NativeEndian
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"empty":               {nil, "it is empty"},
		"text":                {[]byte(strings.Repeat("id,serial,vendor\n", 1000)), "no Gatepost store"},
		"one byte":            {[]byte{0}, "no Gatepost store"},
		"zeros":               {make([]byte, len(good)), "no Gatepost store"},
		"half a meta page":    {good[:60], "no Gatepost store"},
		"one meta page":       {good[:page], "cut short"},
		"meta pages only":     {good[:2*page], "cut short"},
		"half":                {good[:end/2], "cut short"},
		"one byte less":       {good[:end-1], "cut short"},
		"meta 0, one bit":     {spoil(good, func(b []byte) { b[headerLen+48] ^= 1 }), "meta page 0: its checksum"},
		"meta 1, one bit":     {spoil(good, func(b []byte) { b[page+headerLen+40] ^= 1 }), "meta page 1: its checksum"},
		"meta 0, zeros":       {spoil(good, func(b []byte) { clear(b[:page]) }), "meta page 0: begins with"},
		"meta 1, zeros":       {spoil(good, func(b []byte) { clear(b[page : 2*page]) }), "meta page 1: begins with"},
		"both, zeros":         {spoil(good, func(b []byte) { clear(b[:2*page]) }), "no Gatepost store"},
		"another version":     {spoil(good, func(b []byte) { native.PutUint32(b[headerLen+4:], 3); sign(b) }), "version 3"},
		"page size 0":         {spoil(good, func(b []byte) { native.PutUint32(b[headerLen+8:], 0); sign(b) }), "pages of 0 bytes"},
		"other page size":     {spoil(good, func(b []byte) { native.PutUint32(b[page+headerLen+8:], 512); sign(b[page:]) }), "cut short"},
		"end beyond the file": {spoil(good, func(b []byte) { native.PutUint64(b[headerLen+40:], 1<<60); sign(b) }), "cut short"},
		"free list, zeros":    {spoil(good, func(b []byte) { clear(b[free : free+page]) }), "free list"},
		"free list, endless": {spoil(good, func(b []byte) {
			native.PutUint16(b[free+10:], 0xFFFF)
			native.PutUint64(b[free+headerLen:], 1<<40)
		}), "room for"},
		"free list, huge":  {spoil(good, func(b []byte) { native.PutUint32(b[free+12:], 1<<31) }), "free list"},
		"root, other page": {spoil(good, func(b []byte) { copy(b[root:root+page], b[free:]) }), "root"},
		"root, endless":    {spoil(good, func(b []byte) { native.PutUint16(b[root+10:], 60_000) }), "root"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "store.db")
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := Open(path, Options{})
			if err == nil {
				d.Close()
			}
			wantRefusal(t, err, store.ErrDamaged, path, c.says)
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, c.content) {
				t.Errorf("opening changed the file: %v", err)
			}
		})
	}
}

func TestOddFile(t *testing.T) {
	t.Parallel()
	_, err := Open(t.TempDir(), Options{})
	if err == nil {
		t.Error("a folder was opened")
	}
	path := filepath.Join(t.TempDir(), "other.db") // another program's bbolt file
	other, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = other.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err })
	if err := errors.Join(err, other.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, Options{})
	wantRefusal(t, err, store.ErrDamaged, path, "no Gatepost store")
}

func TestInUse(t *testing.T) {
	t.Parallel()
	path, _ := newFile(t)
	d, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = Open(path, Options{Timeout: 60 * time.Millisecond})
	wantRefusal(t, err, ErrInUse, path, "stop that process first")
	if runtime.GOOS == "linux" {
		wantRefusal(t, err, ErrInUse, fmt.Sprintf("(PID %d)", os.Getpid()))
	}
	opened := make(chan error)
	go func() {
		second, err := Open(path, Options{Timeout: time.Minute})
		if err == nil {
			err = second.Close()
		}
		opened <- err
	}()
	d.Close()
	if err := <-opened; err != nil {
		t.Errorf("open while it was being closed: %v", err)
	}
}

func TestLockHolder(t *testing.T) {
	t.Parallel()
	const locks = `1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF
2: FLOCK  ADVISORY  READ  12 fe:00:77 0 EOF
3: FLOCK  ADVISORY  WRITE 13 fe:00:177 0 EOF
3: -> FLOCK  ADVISORY  WRITE 14 fe:00:77 0 EOF
4: FLOCK  ADVISORY  WRITE -1 fe:00:78 0 EOF
5: FLOCK  ADVISORY  WRITE x fe:00:79 0 EOF
6: FLOCK
7: FLOCK  ADVISORY  WRITE 15 fe:00:77 0 EOF
`
	for inode, want := range map[uint64]int{77: 15, 177: 13, 7: 0, 78: 0, 79: 0, 0: 0} {
		if pid, ok := lockHolder([]byte(locks), inode); pid != want || ok != (want != 0) {
			t.Errorf("inode %d: PID %d, %t; want %d", inode, pid, ok, want)
		}
	}
}

func FuzzLockHolder(f *testing.F) {
	f.Add([]byte("1: FLOCK  ADVISORY  WRITE 4321 fe:00:77 0 EOF\n"))
	f.Add([]byte("1: FLOCK ADVISORY WRITE 1 77"))
	f.Fuzz(func(t *testing.T, locks []byte) {
		if pid, ok := lockHolder(locks, 77); ok != (pid > 0) || ok && !bytes.Contains(locks, []byte("77")) {
			t.Errorf("PID %d, %t", pid, ok)
		}
	})
}

// FuzzCheck: whatever stands in a file, checking it ends, and what it lets
// through lies within the file.
func FuzzCheck(f *testing.F) {
	_, good := newFile(f)
	page := os.Getpagesize()
	f.Add(good[:8*page])
	f.Add(good[:page+100])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		for i := 0; i < 2*page && len(b) >= i+headerLen+metaLen; i += page {
			sign(b[i:]) // or no change would come past the checksum
		}
		if err := checkPages(bytes.NewReader(b), int64(len(b))); err != nil {
			return
		}
		m, err := parseMeta(b)
		if err != nil || m.end > uint64(len(b))/uint64(m.pageSize) {
			t.Errorf("let through %+v with %d bytes: %v", m, len(b), err)
		}
	})
}
