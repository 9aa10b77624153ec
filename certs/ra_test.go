package certs

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRA(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	authority, err := CreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), strings.Repeat("A long name ", 6)[:64], now)
	if err != nil {
		t.Fatal(err)
	}
	other, err := CreateAuthority(filepath.Join(dir, "other.crt"), filepath.Join(dir, "other.key"), "Other", now)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "ra.pem")
	open := func(a *Authority, now time.Time) *RA {
		t.Helper()
		ra, err := OpenRA(file, a, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := ra.Certificate.CheckSignatureFrom(a.Certificate); err != nil || !now.Before(ra.Certificate.NotAfter) {
			t.Errorf("%v until %s", err, ra.Certificate.NotAfter)
		}
		return ra
	}
	first := open(authority, now)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != privateMode {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	again := open(authority, now.AddDate(1, 0, 0))
	if !again.Certificate.Equal(first.Certificate) || !again.key.Equal(first.key) {
		t.Error("another one when opened again")
	}
	moved := open(other, now)
	if moved.Certificate.Equal(first.Certificate) || !moved.key.Equal(first.key) {
		t.Error("not certified anew by another authority, or another key")
	}

	// It is no device.
	verifier, err := NewVerifier([]TrustedAuthority{{Certificate: authority.Certificate, IDFrom: IDFromURI, BuiltIn: true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Verify([]*x509.Certificate{first.Certificate}, now); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a device by the certificate of the registration authority: %v", err)
	}
	if _, err := first.Certificate.Verify(x509.VerifyOptions{Roots: verifier.ClientCAs(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Errorf("not of the authority: %v", err)
	}

	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func() error{
		"cut short":       func() error { return os.WriteFile(file, good[:len(good)/3], 0o600) },
		"empty":           func() error { return os.WriteFile(file, nil, 0o600) },
		"for all to read": func() error { return errors.Join(os.WriteFile(file, good, 0o644), os.Chmod(file, 0o644)) },
	} {
		if err := errors.Join(os.Remove(file), spoil()); err != nil {
			t.Fatal(err)
		}
		if ra, err := OpenRA(file, authority, now); err == nil || ra != nil || !strings.Contains(err.Error(), "registration authority") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
