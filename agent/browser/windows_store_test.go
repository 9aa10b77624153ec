package browser

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"
)

func newWindows(t *testing.T) (*Windows, *recorder, hive) {
	r, h := &recorder{t: t}, hive{
		`SOFTWARE\Policies\Google\Chrome\AutoSelectCertificateForUrls\1`: `{"pattern":"https://theirs.example.com","filter":{}}`,
	}
	return &Windows{Run: r.windows, Registry: h, Users: func() ([]User, error) { return []User{{Name: "session 2", Session: 2}}, nil }}, r, h
}

func TestWindows(t *testing.T) {
	t.Parallel()
	w, r, h := newWindows(t)
	before := maps.Clone(h)
	a := newAuthority(t, "Device CA")
	first, second := a.credential(t, "d1", time.Minute), a.credential(t, "d1", 0)
	const powershell = "session 2: powershell.exe -NoLogo -NoProfile -NonInteractive -Command "

	check(t, w.Install(t.Context(), first, deviceURL))
	r.want("install", powershell+"LIST", powershell+"IMPORT")
	for _, key := range policyKeys() {
		want := `{"pattern":"https://device.example.com","filter":{"ISSUER":{"CN":"Device CA"}}}`
		if got := h[key+`\19876501`]; got != want {
			t.Errorf("%s: %s", key, got)
		}
	}
	wantInstalled(t, w, first.Certificate, 1, len(policyKeys()))
	r.lines = nil

	check(t, w.Install(t.Context(), first, deviceURL))
	r.want("again", powershell+"LIST")

	check(t, w.Install(t.Context(), second, deviceURL))
	r.want("renew", powershell+"LIST", powershell+"IMPORT", powershell+"DELETE ALL BUT "+strings.ToLower(identity(second.Certificate)))
	wantInstalled(t, w, second.Certificate, 1, len(policyKeys()))
	r.lines = nil

	check(t, w.Remove(t.Context()))
	r.want("remove", powershell+"DELETE ALL")
	if !maps.Equal(h, before) {
		t.Errorf("the registry has %v", h)
	}
	wantInstalled(t, w, nil, 0, 0)
}

// TestScripts: they stand between double quotes on a command line, and a key
// that could be exported would be no use.
func TestScripts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{importScript, listScript, deleteScript} {
		if strings.ContainsAny(text, "\"\n") || strings.Contains(text, "Exportable") {
			t.Errorf("%q", text)
		}
	}
}

func TestWindowsFails(t *testing.T) {
	t.Parallel()
	w, r, _ := newWindows(t)
	c := newAuthority(t, "Device CA").credential(t, "d1", 0)
	r.refuses = "IMPORT"
	if err := w.Install(t.Context(), c, deviceURL); err == nil || !strings.Contains(err.Error(), "certificates of session 2") {
		t.Errorf("a user whose store refuses: %v", err)
	}
	wantInstalled(t, w, nil, 0, len(policyKeys()))
	w.Registry = denied{}
	if err := w.Install(t.Context(), c, deviceURL); err == nil || !strings.Contains(err.Error(), "which administrators can") {
		t.Errorf("a registry that refuses: %v", err)
	}
	if err := w.Remove(t.Context()); err == nil || !strings.Contains(err.Error(), "which administrators can") {
		t.Errorf("a registry that refuses: %v", err)
	}
}

type denied struct{ hive }

func (denied) Set(string, string, string) error { return errors.New("access is denied") }
func (denied) Delete(string, string) error      { return errors.New("access is denied") }
