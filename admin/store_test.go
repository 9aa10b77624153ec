package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

type stagingRecords struct{ *store.Import }

func (s stagingRecords) Commit(ctx context.Context, progress func(done, total int)) (devices.Result, error) {
	result, err := s.Import.Commit(ctx, progress)
	return devices.Result(result), err
}

// newStored gives a client of a server with the real store, and the store.
func newStored(t *testing.T) (*Client, *store.Records) {
	t.Helper()
	dir := t.TempDir()
	kv, err := bolt.Open(filepath.Join(dir, "db"), bolt.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kv.Close(); err != nil {
			t.Error(err)
		}
	})
	authority, err := certs.CreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "Test authority", now)
	if err != nil {
		t.Fatal(err)
	}
	records := store.New(kv)
	begin := func(ctx context.Context, source posture.Source, at time.Time, replace bool) (devices.Staging, error) {
		im, err := records.BeginImport(ctx, source, at, replace)
		return stagingRecords{im}, err
	}
	// What an import replaces is told by its age, so each needs its own time.
	var imports atomic.Int64
	later := func() time.Time { return now.Add(time.Duration(imports.Add(1)) * time.Second) }
	h := apiOf(&web.Options{Log: slog.New(slog.DiscardHandler), Now: clock},
		&Actions{Actor: &devices.Actor{Records: records, Now: clock}},
		&Devices{Inventory: records, Now: clock, Judge: func(d *posture.Device) posture.Verdict {
			return posture.Judge(&posture.Input{Device: d, Now: now}, &posture.Policy{Name: "default"})
		}},
		&Issuing{Authority: authority.Certificate,
			Issuer: &devices.Issuer{Authority: authority, Records: records, Now: clock}},
		&Import{Importer: &devices.Importer{Begin: begin, Now: later}, Noter: &noter{}, Now: clock},
		&Decisions{Log: records, Interval: time.Millisecond},
	)
	return NewSocketClient(serve(t, h)), records
}

func importCSV(t *testing.T, client *Client, file string, replace bool) (devices.Result, error) {
	t.Helper()
	return client.Import(t.Context(), strings.NewReader(file), ImportOptions{Format: devices.CSV, Replace: replace, Approve: replace}, func(devices.Event) {})
}

func TestImportIntoStore(t *testing.T) {
	t.Parallel()
	client, records := newStored(t)
	var file strings.Builder
	file.WriteString("id,managed\n")
	for i := range 350 { // several chunks
		fmt.Fprintf(&file, "d%03d,true\n", i)
	}
	if result, err := importCSV(t, client, file.String(), false); err != nil || result != (devices.Result{Created: 350}) {
		t.Fatal(result, err)
	}
	// Good rows before a bad one were staged; nothing of them may stay.
	_, err := importCSV(t, client, strings.ReplaceAll(file.String(), "true", "false")+"x,maybe\n", true)
	wantProblem(t, err, http.StatusUnprocessableEntity, "1 bad of 351 rows")
	_, err = importCSV(t, client, "id,managed\n", true)
	wantProblem(t, err, http.StatusUnprocessableEntity, "names no device")
	managed := true
	list, err := client.Devices(t.Context(), DeviceQuery{Managed: &managed, Limit: 1000})
	if err != nil || len(list.Devices) != 350 {
		t.Errorf("%d managed, %v", len(list.Devices), err)
	}
	result, err := importCSV(t, client, "id,managed\nd000,true\nnew,true\n", true)
	if err != nil || result.Created != 1 || result.Unmanaged != 349 {
		t.Errorf("%+v, %v", result, err)
	}
	if d, err := records.Device(t.Context(), "d349"); err != nil || d.Facts[0].Value != "false" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestOneImportAtATime(t *testing.T) {
	t.Parallel()
	client, _ := newStored(t)
	file, body := io.Pipe()
	begun, done := make(chan bool), make(chan error)
	begin := sync.OnceFunc(func() { close(begun) })
	go func() {
		_, err := client.Import(t.Context(), file, ImportOptions{Format: devices.CSV}, func(devices.Event) { begin() })
		done <- err
	}()
	if _, err := io.WriteString(body, "id\n"+rows(0, 1000)); err != nil {
		t.Fatal(err)
	}
	<-begun
	_, err := importCSV(t, client, "id\nx\n", false)
	wantProblem(t, err, http.StatusConflict, "another import")
	body.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := importCSV(t, client, "id\nx\n", false); err != nil {
		t.Errorf("after the first: %v", err)
	}
}

func TestLifecycleInStore(t *testing.T) {
	t.Parallel()
	client, _ := newStored(t)
	if _, err := importCSV(t, client, "id,managed\nlaptop,true\n", false); err != nil {
		t.Fatal(err)
	}
	csr := newCSR(t)
	issued, err := client.IssueCertificate(t.Context(), "laptop", csr, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.IssueCertificate(t.Context(), "laptop", csr, 0)
	wantProblem(t, err, http.StatusConflict, "already in use")
	if _, err := client.Retire(t.Context(), devices.Target{Device: "laptop"}, "stolen"); err != nil {
		t.Fatal(err)
	}
	d, err := client.Device(t.Context(), "laptop")
	if err != nil || d.Verdict.Managed || d.RetireReason != "stolen" || len(d.Certificates) != 1 ||
		d.Certificates[0].Serial != issued.Serial || !d.Certificates[0].Revoked() {
		t.Errorf("%+v, %v", d, err)
	}
	_, err = client.IssueCertificate(t.Context(), "laptop", newCSR(t), 0)
	wantProblem(t, err, http.StatusConflict, "retired")
	_, err = client.IssueCertificate(t.Context(), "nobody", newCSR(t), 0)
	wantProblem(t, err, http.StatusNotFound, "no such device")
}

func TestFollowDecisionsInStore(t *testing.T) {
	t.Parallel()
	client, records := newStored(t)
	decide := func(i int) {
		d := decision(i)
		d.RequestID = d.ID
		if err := records.Decide(t.Context(), d, now.Add(time.Hour)); err != nil {
			t.Error(err)
		}
	}
	for i := range 200 {
		decide(2 * i)
	}
	ids, _, _ := following(t, &world{Client: client}, DecisionQuery{Last: 3})
	wantIDs(t, ids, 394, 396, 398)
	decide(400)
	wantIDs(t, ids, 400)
	decide(395) // its commit came late
	wantIDs(t, ids, 395)
	list, err := client.Decisions(t.Context(), DecisionQuery{Last: 1})
	if err != nil || len(list.Decisions) != 1 || list.Decisions[0].ID != decision(400).ID {
		t.Errorf("%+v, %v", list, err)
	}
}
