package store

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"gatepost.dev/posture"
)

// TestDeviceRecord: a device comes back as it was written, whoever said its facts,
// and so does one in the form that keeps each fact by itself.
func TestDeviceRecord(t *testing.T) {
	at := time.Date(2026, 11, 28, 10, 0, 0, 5, time.UTC)
	d := posture.Device{ID: "dev-1", CreatedAt: at, UpdatedAt: at, Facts: []posture.Fact{
		{Name: "DiskEncrypted", Value: "false", Source: posture.AgentSource(), ObservedAt: at},
		{Name: "DiskEncrypted", Value: "true", Source: posture.Source{Name: "mdm", Kind: posture.Import}, ObservedAt: at.Add(time.Hour), MaxAge: time.Minute},
		{Name: "IsManaged", Value: "true", Source: posture.Source{Name: "mdm", Kind: posture.Import}, ObservedAt: at.Add(time.Hour)},
		{Name: "Note", Value: "a <b> & \u2028 ü", Source: posture.AgentSource(), ObservedAt: at},
	}}
	op, err := writeDevice(&d, Absent)
	if err != nil {
		t.Fatal(err)
	}
	apart, err := json.Marshal(&d)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string][]byte{"as written": op.Value, "each fact by itself": apart} {
		if got, err := decodeDevice(Entry{Key: op.Key, Value: value}); err != nil || !reflect.DeepEqual(got, d) {
			t.Errorf("%s: %+v, %v\nwant %+v", name, got, err, d)
		}
	}
	empty := posture.Device{ID: "dev-2", CreatedAt: at, UpdatedAt: at}
	if op, err = writeDevice(&empty, Absent); err != nil {
		t.Fatal(err)
	}
	if got, err := decodeDevice(Entry{Value: op.Value}); err != nil || !reflect.DeepEqual(got, empty) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestRecordsAsEncodingJSON: what stands in the store is what encoding/json writes,
// so that each reads the other's.
func TestRecordsAsEncodingJSON(t *testing.T) {
	at := time.Date(2026, 11, 28, 10, 0, 0, 5, time.UTC)
	for _, record := range []any{
		posture.Certificate{Authority: "a", Serial: "b<>&\u2029", NotAfter: at, Agent: true},
		posture.Token{}, RelyingParty{Name: "acme"},
	} {
		want, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		if op, err := putRecord("k", record, Any); err != nil || string(op.Value) != string(want) {
			t.Errorf("%s, %v\nwant %s", op.Value, err, want)
		}
	}
}
