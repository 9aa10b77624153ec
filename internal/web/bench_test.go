package web

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkHandle is what this package adds to a sign-in: headers, reference and
// a JSON record with three annotations.
func BenchmarkHandle(b *testing.B) {
	h := Handle("GET /saml/sso", func(w http.ResponseWriter, r *http.Request) error {
		Annotate(r.Context(), slog.String("device", "dev-0001"), slog.String("relying_party", "acme"), slog.String("outcome", "asserted"))
		_, err := w.Write([]byte("x"))
		return err
	}, &Options{Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Now: time.Now})
	r := httptest.NewRequest("GET", "/saml/sso", nil)
	w := discard{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

// BenchmarkRefuse is a bad request, answered as problem+json.
func BenchmarkRefuse(b *testing.B) {
	h := Handle("GET /saml/sso", func(w http.ResponseWriter, r *http.Request) error {
		return &Error{Status: 400, Reason: "signature_invalid"}
	}, &Options{Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Now: time.Now})
	r := httptest.NewRequest("GET", "/saml/sso", nil)
	w := discard{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
