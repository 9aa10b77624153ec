package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"gatepost.dev/store"
)

// The layout of bbolt's file, version 2, in the byte order of the machine. Each
// page begins with a header: its number (8 bytes), kind (2), count of elements
// (2) and how many pages more it takes (4). Pages 0 and 1 are the meta pages,
// written by turns; the one with the higher transaction number is in force.
const (
	headerLen = 16
	metaLen   = 64
	magic     = 0xED0CDAED
	version   = 2

	kindBranch   = 0x01
	kindLeaf     = 0x02
	kindFreelist = 0x10
)

// errForeign is the error for a file that no store wrote.
var errForeign = fmt.Errorf("%w: this is no Gatepost store; check the configured path", store.ErrDamaged)

// meta is what a meta page says.
type meta struct {
	pageSize int64
	root     uint64 // page of the root bucket
	freelist uint64 // page of the free list
	end      uint64 // pages at and behind this one are not in use
	txid     uint64
}

// check reads what bbolt relies on before it maps the file: bbolt takes an
// empty file for a new store, silently goes back one transaction when a meta
// page is damaged, and dies on a file that is shorter than its meta pages say.
func check(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errForeign
	}
	return checkPages(f, info.Size())
}

// checkPages is check on a file of size bytes.
func checkPages(f io.ReaderAt, size int64) error {
	if size == 0 {
		return fmt.Errorf("%w: it is empty; restore a backup, or remove it and have a new one created", store.ErrDamaged)
	}
	first, err := readMeta(f, 0, int64(os.Getpagesize()), size)
	if err != nil {
		return err
	}
	second, err := readMeta(f, 1, first.pageSize, size)
	if err != nil {
		return err
	}
	for i, m := range []meta{first, second} {
		// The file never shrinks, so both must fit.
		if m.pageSize != first.pageSize || m.end > uint64(size/m.pageSize) {
			return fmt.Errorf("%w: it is cut short: %d bytes, meta page %d says %d pages of %d; restore a backup",
				store.ErrDamaged, size, i, m.end, m.pageSize)
		}
	}
	m := first
	if second.txid > m.txid {
		m = second
	}
	if err := checkPage(f, m, m.freelist, kindFreelist); err != nil {
		return fmt.Errorf("%w: free list: %w; restore a backup", store.ErrDamaged, err)
	}
	if err := checkPage(f, m, m.root, kindBranch, kindLeaf); err != nil {
		return fmt.Errorf("%w: root: %w; restore a backup", store.ErrDamaged, err)
	}
	return nil
}

// readMeta reads meta page n of a file with pages of pageSize bytes.
func readMeta(f io.ReaderAt, n, pageSize, size int64) (meta, error) {
	page := make([]byte, headerLen+metaLen)
	if _, err := f.ReadAt(page, n*pageSize); err == io.EOF {
		if n == 0 {
			return meta{}, errForeign
		}
		return meta{}, fmt.Errorf("%w: it is cut short: %d bytes; restore a backup", store.ErrDamaged, size)
	} else if err != nil {
		return meta{}, err
	}
	m, err := parseMeta(page)
	if err == nil {
		return m, nil
	}
	if n == 0 {
		// Without its sibling either it was never a store.
		sibling := make([]byte, headerLen+metaLen)
		if _, err := f.ReadAt(sibling, pageSize); err != nil {
			return meta{}, errForeign
		}
		if _, err := parseMeta(sibling); err != nil && binary.NativeEndian.Uint32(page[headerLen:]) != magic {
			return meta{}, errForeign
		}
	}
	return meta{}, fmt.Errorf("%w: meta page %d: %w; restore a backup", store.ErrDamaged, n, err)
}

// parseMeta reads the first headerLen+metaLen bytes of a meta page.
func parseMeta(page []byte) (meta, error) {
	if len(page) < headerLen+metaLen {
		return meta{}, io.ErrUnexpectedEOF
	}
	b := page[headerLen : headerLen+metaLen]
	u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	if got := u32(b); got != magic {
		return meta{}, fmt.Errorf("begins with %#x, not %#x", got, uint32(magic))
	}
	if got := u32(b[4:]); got != version {
		return meta{}, fmt.Errorf("version %d, not %d", got, version)
	}
	sum := fnv.New64a()
	sum.Write(b[:56])
	if sum.Sum64() != u64(b[56:]) {
		return meta{}, fmt.Errorf("its checksum is wrong")
	}
	m := meta{pageSize: int64(u32(b[8:])), root: u64(b[16:]), freelist: u64(b[32:]), end: u64(b[40:]), txid: u64(b[48:])}
	if m.pageSize < 512 || m.pageSize&(m.pageSize-1) != 0 {
		return meta{}, fmt.Errorf("pages of %d bytes", m.pageSize)
	}
	return m, nil
}

// checkPage checks the header of page n, which must be one of the kinds, and
// that its elements lie within it.
func checkPage(f io.ReaderAt, m meta, n uint64, kinds ...uint16) error {
	if n < 2 || n >= m.end {
		return fmt.Errorf("page %d of %d", n, m.end)
	}
	b := make([]byte, headerLen+8)
	if _, err := f.ReadAt(b, int64(n)*m.pageSize); err != nil {
		return err
	}
	kind, count, more := binary.NativeEndian.Uint16(b[8:]), binary.NativeEndian.Uint16(b[10:]), binary.NativeEndian.Uint32(b[12:])
	if got := binary.NativeEndian.Uint64(b); got != n {
		return fmt.Errorf("page %d calls itself %d", n, got)
	}
	known := false
	for _, k := range kinds {
		known = known || kind == k
	}
	if !known || uint64(more) >= m.end-n {
		return fmt.Errorf("page %d is of kind %#x and takes %d more pages", n, kind, more)
	}
	elements, each := uint64(count), uint64(16)
	if kind == kindFreelist {
		each = 8
		if count == 0xFFFF { // too many for the header: the first element says how many follow
			elements = binary.NativeEndian.Uint64(b[headerLen:])
		}
	}
	if room := ((uint64(more)+1)*uint64(m.pageSize) - headerLen) / each; elements > room {
		return fmt.Errorf("page %d has %d elements, room for %d", n, elements, room)
	}
	return nil
}
