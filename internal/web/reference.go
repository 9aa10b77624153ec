package web

import (
	"crypto/rand"
	"time"
)

// alphabet is Crockford's base 32 in lower case: in byte order, so that
// references sort as their numbers do, and without letters that people misread.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// NewReference makes an ID of 26 characters: 48 bits of Unix milliseconds, then
// 80 random bits. It sorts by time to the millisecond; within one the order is
// random.
func NewReference(now time.Time) string {
	var id [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	rand.Read(id[6:]) // never fails: the runtime ends the process instead

	// 26 characters hold 130 bits: the first two are zero.
	var text [26]byte
	bits, have, from := uint32(0), 2, 0
	for i := range text {
		if have < 5 {
			bits, have, from = bits<<8|uint32(id[from]), have+8, from+1
		}
		have -= 5
		text[i] = alphabet[bits>>have&31]
	}
	return string(text[:])
}
