package ocsf

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"gatepost.dev/posture"
)

// Bounds on what comes from outside: a record must not become longer than a
// collector's line, or hide its neighbours by its size.
const (
	maxText = 2 << 10 // bytes of a text
	maxJSON = 8 << 10 // bytes of a value that is passed on as it is
	maxList = 32      // entries of a list
)

// text is a text from outside as it came, but bounded and UTF-8.
func (w *writer) text(s string) string {
	if len(s) > maxText {
		w.cut = true
		end := maxText
		for end > maxText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.ToValidUTF8(s, string(utf8.RuneError))
}

// texts are bounded in number, too.
func (w *writer) texts(all []string) (bounded []string) {
	for _, s := range all[:w.first(len(all))] {
		if s != "" {
			bounded = append(bounded, w.text(s))
		}
	}
	return bounded
}

// first is how many of n entries a list may have.
func (w *writer) first(n int) int {
	if n > maxList {
		w.cut = true
	}
	return min(n, maxList)
}

// join is what there is of the parts, as one text.
func (w *writer) join(separator string, parts ...string) string {
	var some []string
	for _, p := range parts {
		if p != "" {
			some = append(some, w.text(p))
		}
	}
	return w.text(strings.Join(some, separator))
}

// or is a text, or a word for its absence where the schema demands one.
func (w *writer) or(s, absent string) string {
	if s == "" {
		return absent
	}
	return w.text(s)
}

// raw is a JSON value written anew, as the log keeps what it was sent: with bytes
// that are no UTF-8, with half surrogates, or twice the same name, over which
// collectors disagree. Nil: it is too long, or none.
func (w *writer) raw(value json.RawMessage) json.RawMessage {
	if len(value) == 0 {
		return nil
	}
	if len(value) > maxJSON {
		w.cut = true
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber() // 64-bit IDs
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil
	}
	if _, err := decoder.Token(); err != io.EOF || v == nil {
		return nil
	}
	again, err := encode(v)
	if err != nil {
		return nil
	}
	return again
}

// encode is json.Marshal that leaves <, > and & alone.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// keep puts a text where the schema has no place for it.
func (w *writer) keep(key, value string) {
	if value != "" {
		w.rest[key] = w.text(value)
	}
}

// keepRaw does so with a JSON value; what is none is kept as a text.
func (w *writer) keepRaw(key string, value json.RawMessage) {
	if again := w.raw(value); again != nil {
		w.rest[key] = again
	} else {
		w.keep(key, string(value))
	}
}

func (w *writer) keepFailures(key string, failures []posture.Failure) {
	if list := w.failures(failures); len(list) > 0 {
		w.rest[key] = list
	}
}

// failures are the rules that failed, whole.
func (w *writer) failures(failures []posture.Failure) (list []map[string]any) {
	for _, f := range failures[:w.first(len(failures))] {
		m := map[string]any{"rule": w.text(f.Rule), "why": w.text(f.Why)}
		for key, value := range map[string]string{"help": f.Help, "link": f.Link, "severity": string(f.Severity)} {
			if value != "" {
				m[key] = w.text(value)
			}
		}
		if !f.Until.IsZero() {
			m["until"] = w.when(f.Until)
		}
		list = append(list, m)
	}
	return list
}

func (w *writer) when(t time.Time) string { return t.UTC().Format(time.RFC3339) }
