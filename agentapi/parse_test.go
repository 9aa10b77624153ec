package agentapi

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

const good = `{"sequence": 42, "observed_at": "2026-11-22T16:00:00Z",
 "device": {"vendor": "Apple", "model": "Mac15,3", "os": "macOS", "os_version": "15.5", "serial": "C02XXXX"},
 "facts": {"DiskEncrypted": "true", "FirewallOn": "true"},
 "attestations": [{"type": "tpm", "value": "AAAA"}]}`

func TestParseReport(t *testing.T) {
	t.Parallel()
	r, err := ParseReport([]byte(good))
	if err != nil || r.Sequence != 42 || r.Device.Model != "Mac15,3" || r.Facts["DiskEncrypted"] != "true" || len(r.Attestations) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestParseSaysWhat: who writes an agent learns what was wrong, in terms of JSON.
func TestParseSaysWhat(t *testing.T) {
	t.Parallel()
	for from, tt := range map[string]struct{ to, want string }{
		`"sequence": 42`:          {`"sequence": "42"`, `"/sequence" must not be a string`},
		`"observed_at"`:           {`"observed"`, `unknown name "/observed"`},
		`"2026-11-22T16:00:00Z"`:  {`"yesterday"`, `"/observed_at" must not be a string`},
		`"facts": {`:              {`"facts": {"DiskEncrypted": "true", `, `name "/facts/DiskEncrypted" given twice`},
		`"tpm"}`:                  {`"tpm"`, ``},
		`"DiskEncrypted": "true"`: {`"DiskEncrypted": "ja"`, `facts.DiskEncrypted: "ja" is not true or false`},
		`"C02XXXX"`:               {`" C02XXXX"`, `device.serial: " C02XXXX" has a space before or after it; remove it`},
	} {
		_, err := ParseReport([]byte(strings.Replace(good, from, tt.to, 1)))
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %s", tt.to, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "Go ") {
			t.Errorf("%s: %v names Go types", tt.to, err)
		}
	}
	if _, err := ParseReport([]byte(good[:60])); !errors.Is(err, ErrJSON) {
		t.Errorf("cut: %v", err)
	}
}

func TestKnownCodes(t *testing.T) {
	t.Parallel()
	if !CodeSequence.Known() || Code("").Known() || Code("internal").Known() {
		t.Error("the known codes are not those of agentapi")
	}
}

// FuzzParseReport: whatever comes, what is taken is within bounds, and says the
// same when it is written and read again.
func FuzzParseReport(f *testing.F) {
	for _, seed := range []string{good, "", "null", "{}", `{"sequence":1}`, strings.Replace(good, "true", `\u0000`, 1), strings.Replace(good, "42", "9007199254740992", 1)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := ParseReport(body)
		if err != nil {
			var fault *Fault
			if !errors.Is(err, ErrJSON) && !errors.As(err, &fault) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if r.Sequence == 0 || r.ObservedAt.IsZero() || len(r.Facts) > maxFacts || len(r.Attestations) > maxAttestations {
			t.Errorf("out of bounds: %+v", r)
		}
		for name, value := range r.Facts {
			if !ValidFactName(name) || CheckText(value) != "" {
				t.Errorf("fact %q is %q", name, value)
			}
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		second, err := ParseReport(again)
		if err != nil || !second.ObservedAt.Equal(r.ObservedAt) {
			t.Fatalf("%s: %v", again, err)
		}
		second.ObservedAt = r.ObservedAt // whose zone may be named otherwise
		if len(r.Facts) == 0 {
			r.Facts, second.Facts = nil, nil
		}
		if len(r.Attestations) == 0 {
			r.Attestations, second.Attestations = nil, nil
		}
		if !reflect.DeepEqual(second, r) {
			t.Errorf("%+v became %+v", r, second)
		}
	})
}

// FuzzParseEnrollRequest: as FuzzParseReport, for the one body that anybody may
// send.
func FuzzParseEnrollRequest(f *testing.F) {
	f.Add([]byte(`{"token":"gpe_x","csr":"-----BEGIN","device":{"serial":"C02"}}`))
	f.Add([]byte(`{"token":"","csr":""}`))
	f.Add([]byte(`{"token":"gpe_x","ek":"AA==","ak":"AA==","tpm":{"state":"AA==","secret":"AA=="}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := ParseEnrollRequest(body)
		if err == nil && (r.Token == "" || len(r.Token) > maxToken || r.CSR == "" || len(r.CSR) > maxCSR || CheckText(r.Device.Serial) != "") {
			t.Errorf("out of bounds: %+v", r)
		}
		if _, err := ParseRenewRequest(body); err == nil && len(body) > MaxBody {
			t.Error("a body over the limit was read")
		}
		if _, err := ParseAttestRequest(body); err == nil && len(body) > MaxBody {
			t.Error("a body over the limit was read")
		}
	})
}
