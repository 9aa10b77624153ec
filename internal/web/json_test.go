package web

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

type common struct {
	Sequence int64 `json:"sequence"`
}

type report struct {
	common
	ObservedAt   time.Time         `json:"observed_at"`
	Device       *reportDevice     `json:"device,omitempty"`
	Facts        map[string]string `json:"facts"`
	Attestations []reportDevice    `json:"attestations"`
	Any          any               `json:"any"`
	Hidden       string            `json:"-"`
	Plain        bool
}

type reportDevice struct {
	Vendor string `json:"vendor"`
}

func readJSON(text, contentType string, into any) error {
	r := httptest.NewRequest("POST", "/x", strings.NewReader(text))
	r.Header.Set("Content-Type", contentType)
	return ReadJSON(r, into)
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	var got report
	err := readJSON(` {"sequence": 42, "observed_at": "2026-11-22T16:00:00Z", "device": {"vendor": "Apple"},
		"facts": {"DiskEncrypted": "true", "diskEncrypted": "false", "": "é"}, "attestations": [{"vendor":"a"},{"vendor":"b"}],
		"any": {"x": [{"x": null}]}, "Plain": true} `, "application/json; charset=utf-8", &got)
	if err != nil {
		t.Fatal(err)
	}
	want := report{common{42}, time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC), &reportDevice{"Apple"},
		map[string]string{"DiskEncrypted": "true", "diskEncrypted": "false", "": "é"}, []reportDevice{{"a"}, {"b"}},
		map[string]any{"x": []any{map[string]any{"x": nil}}}, "", true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestReadJSONRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, says string
		status           int
	}{
		{"unknown name", `{"sequence":1,"managed":true}`, `unknown name "managed"`, 400},
		{"unknown name inside", `{"attestations":[{"vendor":"a","x":1}]}`, `unknown name "x"`, 400},
		{"hidden name", `{"Hidden":"x"}`, `unknown name "Hidden"`, 400},
		{"name given twice", `{"sequence":1,"sequence":2}`, `name "sequence" given twice`, 400},
		{"name given twice, escaped", `{"sequence":1,"sequ\u0065nce":2}`, `name "sequence" given twice`, 400},
		{"fact given twice", `{"facts":{"A":"1","A":"2"}}`, `name "A" given twice`, 400},
		{"twice where anything goes", `{"any":[{"a":{"b":1,"b":2}}]}`, `name "b" given twice`, 400},
		{"other case", `{"Sequence":1}`, `unknown name "Sequence"`, 400},
		{"other case inside", `{"device":{"VENDOR":"x"}}`, `unknown name "VENDOR"`, 400},
		{"folded case", `{"\u017fequence":1}`, `unknown name "\u017fequence"`, 400},
		{"trailing bytes", `{"sequence":1} x`, "invalid character", 400},
		{"second value", `{"sequence":1}{}`, "invalid character", 400},
		{"cut", `{"sequence":1`, "unexpected EOF", 400},
		{"empty", ``, "unexpected EOF", 400},
		{"null", ` null `, "null", 400},
		{"wrong type", `{"device":{"vendor":1}}`, `"device.vendor" must not be a number`, 400},
		{"wrong shape", `[1]`, `must not be a array`, 400},
		{"not UTF-8", "{\"sequence\":1,\"facts\":{\"a\":\"\xff\"}}", "not UTF-8", 400},
		{"comment", `{/**/"sequence":1}`, "invalid character", 400},
		{"too deep", `{"any":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "nested too deep", 400},
		{"never closed", `{"any":` + strings.Repeat("[", 60_000), "nested too deep", 400},
		{"too large", `{"any":"` + strings.Repeat("a", DefaultMaxBody) + `"}`, "too large", 413},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := readJSON(test.text, "application/json", new(report))
			if err == nil {
				t.Fatal("accepted")
			}
			e := mapError(t.Context(), err)
			if e.Status != test.status || !strings.Contains(e.Public, test.says) {
				t.Errorf("%d %q, want %d %q", e.Status, e.Public, test.status, test.says)
			}
			if len(e.Public) > 200 || strings.Contains(e.Public, "report") {
				t.Errorf("says too much: %q", e.Public)
			}
		})
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json;;"} {
		if e := mapError(t.Context(), readJSON(`{}`, contentType, new(report))); e.Status != 415 {
			t.Errorf("content type %q: %v", contentType, e)
		}
	}
}

func TestReadJSONPassesTheServersLimitOn(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/x", nil)
	r.Header.Set("Content-Type", "application/json")
	r.Body = http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(`{"sequence":12345}`)), 5)
	if e := mapError(t.Context(), ReadJSON(r, new(report))); e.Status != 413 {
		t.Errorf("%v", e)
	}
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	if err := WriteJSON(w, 201, map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	if w.Code != 201 || w.Body.String() != "{\"a\":1}\n" || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Content-Length") != "8" {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
	w = httptest.NewRecorder()
	if err := WriteJSON(w, 200, func() {}); err == nil || w.Body.Len() != 0 || len(w.Header()) != 0 {
		t.Errorf("unencodable: %v, %v", err, w.Header())
	}
	if err := WriteJSON(brokenWriter{w}, 200, 1); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("broken: %v", err)
	}
}

type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Whatever is accepted is what plain decoding makes of it, and its names are as
// the type has them, once each: writing and reading it again changes nothing.
func FuzzReadJSON(f *testing.F) {
	f.Add([]byte(`{"sequence":1,"device":{"vendor":"x"},"facts":{"A":"1"},"any":[1,{"a":null}]}`))
	f.Add([]byte(`{"sequence":1,"Sequence":2}`))
	f.Add([]byte(`{"any":{"a":1,"a":2}}`))
	f.Add([]byte(`[{},[],""]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var got, plain, again report
		if decodeStrict(body, &got) != nil {
			return
		}
		d := json.NewDecoder(strings.NewReader(string(body)))
		d.DisallowUnknownFields()
		if err := d.Decode(&plain); err != nil || !reflect.DeepEqual(got, plain) {
			t.Fatalf("plain decoding: %v, %+v and %+v", err, plain, got)
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if err := decodeStrict(text, &again); err != nil {
			t.Fatalf("own output %s: %v", text, err)
		}
	})
}

func BenchmarkReadJSON(b *testing.B) {
	text := []byte(`{"sequence": 42, "observed_at": "2026-11-22T16:00:00Z", "device": {"vendor": "Apple"}, "facts": {"DiskEncrypted": "true", "FirewallOn": "true"}}`)
	b.ReportAllocs()
	for b.Loop() {
		var into report
		if err := decodeStrict(text, &into); err != nil {
			b.Fatal(err)
		}
	}
}
