package saml_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"gatepost.dev/idp/saml"
)

func BenchmarkRequest(b *testing.B) {
	sp := reqProvider()
	for _, c := range []struct {
		name, kind, content string
	}{
		{"RedirectUnsigned", ".query", query(reqBase, "RelayState", "https://sp.example.com/")},
		{"RedirectRSA", ".query", reqSigner{}.query(reqBase, "https://sp.example.com/")},
		{"RedirectECDSA", ".query", reqSigner{key: "sp-ec", method: moreSig + "ecdsa-sha256"}.query(reqBase)},
		{"PostRSA", ".form", form(reqSigner{}.sign(reqBase), "RelayState", "https://sp.example.com/")},
	} {
		body := []byte(c.content)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var m *saml.Message
				var err error
				if c.kind == ".query" {
					m, err = saml.DecodeRedirect(c.content)
				} else {
					m, err = saml.DecodePost(body)
				}
				if err != nil {
					b.Fatal(err)
				}
				if _, err := m.Check(sp, reqEndpoint, reqNow()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// hostileRequests are the most expensive requests that we know how to make. The
// first ones carry the genuine signature of another request, so that everything
// up to the digest is done for them.
func hostileRequests() map[string]string {
	replay := func(extension string) string {
		signed := reqSigner{}.sign(reqBase)
		return form(change(signed, "<saml:Subject", "<samlp:Extensions>"+extension+"</samlp:Extensions><saml:Subject"))
	}
	fill := func(unit string, size int) string { return strings.Repeat(unit, size/len(unit)) }
	var wide strings.Builder
	for i := range 480 {
		fmt.Fprintf(&wide, `<n%s:e n%[1]s:a="%s"/>`, numbered("%", i%31+1)[2*(i%31):], strings.Repeat("&#38;", 8))
	}
	namespaces := numbered(` xmlns:n%="urn:`+strings.Repeat("x", 200)+`%"`, 31)
	return map[string]string{
		"ReplayElements":   replay(fill("<a/>", 1900)),
		"ReplayText":       replay(fill("<a>"+strings.Repeat(">", 7000)+"</a>", 56000)),
		"ReplayNamespaces": replay("<a" + namespaces + ">" + wide.String() + "</a>"),
		"ReplayAttributes": replay(strings.Repeat("<a"+numbered(` %="&#38;&#38;&#38;"`, 32)+"/>", 30)),
		"ReplayDeep":       replay(strings.Repeat("<a"+numbered(` xmlns:%="u"`, 2)+">", 28) + strings.Repeat("<a/>", 440) + strings.Repeat("</a>", 28)),
		"ReplayCDATA":      replay("<a>" + strings.Repeat("<![CDATA["+strings.Repeat("&", 48)+"]]>", 1000) + "</a>"),
		"Attributes":       form("<a" + strings.Repeat(` a=""`, 13000) + "/>"),
		"AttributesShort":  form("<a>" + fill("<b"+numbered(` %=""`, 32)+"/>", 64000)),
		"LongName":         form("<" + strings.Repeat("a", 65000)),
		"LongText":         form("<a>" + strings.Repeat("x", 65000)),
		"Directive":        form("<!DOCTYPE a [" + strings.Repeat("<!ENTITY a 'b'>", 4000) + "]><a/>"),
		"Comment":          form("<!--" + strings.Repeat("x", 65000) + "--><a/>"),
		"CDATA":            form("<a>" + fill("<![CDATA[x]]>", 65000)),
		"References":       form("<a>" + fill("<b>"+strings.Repeat("&lt;", 1990)+"</b>", 64000) + "<b>"),
		"Parameters":       strings.Repeat("a=b&", 32<<10),
		"RelayState":       form(reqBase, "RelayState", strings.Repeat("é", 4097)),
		"Form":             "SAMLRequest=" + strings.Repeat("%41", 42<<10),
	}
}

func hostileQueries() map[string]string {
	// Blocks that each bring a Huffman code of their own and one byte.
	var tables bytes.Buffer
	for tables.Len() < 10<<10 {
		var one bytes.Buffer
		w, _ := flate.NewWriter(&one, flate.HuffmanOnly)
		w.Write(bytes.Repeat([]byte("aab"), 30))
		w.Flush()
		tables.Write(one.Bytes())
	}
	encode := func(b []byte) string { return encodePairs("SAMLRequest", base64.StdEncoding.EncodeToString(b)) }
	return map[string]string{
		"Bomb":        query(strings.Repeat(" ", 10<<20)),
		"BombMarkup":  query(strings.Repeat("<a>", 21<<10)),
		"Tables":      encode(tables.Bytes()),
		"EmptyBlocks": encode(bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 1000)),
		"SmallTables": encode(smallTables(960)),
		"TooLong":     "SAMLRequest=" + strings.Repeat("A", 120<<10),
	}
}

// smallTables is a DEFLATE stream of nothing but empty blocks, each with the
// smallest Huffman code of its own that there is: 90 bits each.
func smallTables(blocks int) []byte {
	var out []byte
	n := 0
	put := func(value, width int) {
		for i := range width {
			if n%8 == 0 {
				out = append(out, 0)
			}
			out[n/8] |= byte(value>>i&1) << (n % 8)
			n++
		}
	}
	for range blocks {
		put(0, 1)  // not the last block
		put(2, 2)  // with a code of its own
		put(0, 10) // 257 literals, one distance
		put(14, 4) // 18 lengths of the code for lengths, in the order of RFC 1951 section 3.2.7
		for i := range 18 {
			if i == 2 || i == 17 { // for "zeros" (18) and "length 1" (1)
				put(1, 3)
			} else {
				put(0, 3)
			}
		}
		put(1, 1) // 138 zeros
		put(127, 7)
		put(1, 1) // 118 zeros
		put(107, 7)
		put(0, 1) // end of block: length 1
		put(0, 1) // distance 0: length 1
		put(0, 1) // end of block
	}
	return out
}

// BenchmarkHostile measures refusals: at most 5 ms and 1 MiB each.
func BenchmarkHostile(b *testing.B) {
	sp := reqProvider()
	run := func(name, kind, content string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := reqCheck(b, kind, content, sp); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
	for name, content := range hostileRequests() {
		run(name, ".form", content)
	}
	for name, content := range hostileQueries() {
		run(name, ".query", content)
	}
}

// TestHostileRequestsAreCheap holds the memory that refusing costs, which does
// not depend on the machine: at most 1 MiB, all told. It must not run beside
// other tests, whose memory it would count.
func TestHostileRequestsAreCheap(t *testing.T) {
	sp := reqProvider()
	check := func(name, kind, content string) {
		const runs = 4
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		reason := ""
		for range runs {
			_, err := reqCheck(t, kind, content, sp)
			reason = outcome(err)
		}
		runtime.ReadMemStats(&after)
		if !strings.HasPrefix(reason, "bad request: ") {
			t.Errorf("%s: %s", name, reason)
		}
		if strings.HasPrefix(name, "Replay") && reason != "bad request: signature_digest" {
			t.Errorf("%s: %s: does not get as far as it should", name, reason)
		}
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 1<<20 {
			t.Errorf("%s (%s): %d bytes", name, reason, got)
		}
	}
	for name, content := range hostileRequests() {
		check(name, ".form", content)
	}
	for name, content := range hostileQueries() {
		check(name, ".query", content)
	}
}
