package posture_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"gatepost.dev/posture"
)

func TestBindOwner(t *testing.T) {
	t.Parallel()
	managed := posture.Verdict{Managed: true, Compliant: true}
	risky := posture.Verdict{Managed: true, Reason: posture.NotCompliant, Failures: []posture.Failure{{Rule: "disk"}}}
	stale := posture.Verdict{Reason: posture.Stale}
	mismatch := posture.Verdict{Reason: posture.OwnerMismatch}
	warned := func(v posture.Verdict) posture.Verdict {
		v.Warnings = []posture.Reason{posture.OwnerMismatch}
		return v
	}
	for _, tt := range []struct {
		name           string
		v              posture.Verdict
		owner, subject string
		warn, enforce  posture.Verdict
	}{
		{"the owner", managed, "jo@example.com", "jo@example.com", managed, managed},
		{"the owner in capitals", managed, "jo@example.com", "Jo@EXAMPLE.com", managed, managed},
		{"somebody else", managed, "jo@example.com", "al@example.com", warned(managed), mismatch},
		{"somebody else, not compliant", risky, "jo@example.com", "al@example.com", warned(risky), mismatch},
		{"a longer name", managed, "jo", "joe", warned(managed), mismatch},
		{"a letter that looks alike", managed, "kim@example.com", "\u212aim@example.com", warned(managed), mismatch},
		{"nobody owns it", managed, "", "jo@example.com", warned(managed), mismatch},
		{"nobody at all", managed, "", "", warned(managed), mismatch},
		{"not managed anyway", stale, "jo", "al", stale, stale},
	} {
		for binding, want := range map[posture.OwnerBinding]posture.Verdict{
			"": tt.v, posture.BindOff: tt.v, posture.BindWarn: tt.warn, posture.BindEnforce: tt.enforce, "Off": tt.enforce, "damaged": tt.enforce,
		} {
			if got := posture.BindOwner(tt.v, &posture.Device{Owner: tt.owner}, tt.subject, binding); !reflect.DeepEqual(got, want) {
				t.Errorf("%s, binding %q: %+v, want %+v", tt.name, binding, got, want)
			}
		}
	}
}

// A word is kept as it is, and what records had before there were words is read.
func TestOwnerBindingJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]posture.OwnerBinding{
		`{}`: "", `{"b":null}`: "", `{"b":""}`: "", `{"b":true}`: posture.BindEnforce, `{"b":false}`: posture.BindOff,
		`{"b":"off"}`: posture.BindOff, `{"b":"warn"}`: posture.BindWarn, `{"b":"enforce"}`: posture.BindEnforce, `{"b":"true"}`: "true",
	} {
		var got struct {
			B posture.OwnerBinding `json:"b"`
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.B != want {
			t.Errorf("%s: %q, %v; want %q", text, got.B, err, want)
		}
	}
	for _, text := range []string{`1`, `["enforce"]`, `{}`} {
		var got posture.OwnerBinding
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s was read as %q", text, got)
		}
	}
}
