package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// printJSON writes v for programs.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table writes rows in columns for people.
type table struct {
	w *tabwriter.Writer
}

func newTable(w io.Writer, header ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(header...)
	return t
}

func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t *table) flush() error { return t.w.Flush() }

// printable replaces what could steer a terminal: values come from devices.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// yesNo says a truth in a table.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// day and second show times in tables, in UTC.
func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

func second(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// secondOrNever is second of what may not have been.
func secondOrNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return second(t)
}

// progress shows on a terminal how far something long is; elsewhere it is
// silent.
type progress struct {
	w     io.Writer
	shown bool
	next  time.Time
	now   func() time.Time
}

func newProgress(w io.Writer, now func() time.Time) *progress {
	if !isTerminal(w) {
		w = nil
	}
	return &progress{w: w, now: now}
}

// show writes the line, not more often than people can read.
func (p *progress) show(format string, args ...any) {
	if p.w == nil || p.now().Before(p.next) {
		return
	}
	p.next, p.shown = p.now().Add(100*time.Millisecond), true
	fmt.Fprintf(p.w, "\r\x1b[K"+format, args...)
}

// clear removes the line.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
