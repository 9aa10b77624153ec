package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

var fileSource = posture.Source{Name: "import", Kind: posture.Import}

// rows are reports on devices from to to-1, each managed.
func rows(from, to int) []posture.Report {
	var reports []posture.Report
	for i := from; i < to; i++ {
		reports = append(reports, posture.Report{
			DeviceID: fmt.Sprintf("device-%06d", i), Vendor: "Dell", Serial: fmt.Sprintf("S%d", i),
			Facts: map[string]string{posture.FactManaged: "true"},
		})
	}
	return reports
}

func beginImport(t testing.TB, r *store.Records, at time.Time, replace bool) *store.Import {
	t.Helper()
	im, err := r.BeginImport(t.Context(), fileSource, at, replace)
	if err != nil {
		t.Fatalf("begin import: %v", err)
	}
	return im
}

func stage(t testing.TB, im *store.Import, reports []posture.Report) {
	t.Helper()
	if err := im.Stage(t.Context(), reports); err != nil {
		t.Fatalf("stage: %v", err)
	}
}

func apply(t testing.TB, im *store.Import) store.Result {
	t.Helper()
	result, err := im.Commit(t.Context(), nil)
	if err != nil {
		t.Fatalf("commit import: %v", err)
	}
	return result
}

// managed counts devices, and those of them that the file's source says to be
// managed.
func managed(t testing.TB, r *store.Records) (devices, managed int) {
	t.Helper()
	for after := ""; ; {
		page, err := r.Devices(context.WithoutCancel(t.Context()), after, 500)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			after = d.ID
			devices++
			for _, f := range d.Facts {
				if f.Name == posture.FactManaged && f.Value == "true" && f.Source == fileSource {
					managed++
				}
			}
		}
		if len(page) == 0 {
			return devices, managed
		}
	}
}

func wantManaged(t testing.TB, r *store.Records, what string, devices, those int) {
	t.Helper()
	if n, m := managed(t, r); n != devices || m != those {
		t.Errorf("%s: %d devices, %d of them managed; want %d and %d", what, n, m, devices, those)
	}
}

// wantNothingLeft checks that an import left nothing behind.
func wantNothingLeft(t testing.TB, kv store.KV) {
	t.Helper()
	for _, prefix := range []string{"import", "staged/"} {
		if left, err := kv.Scan(context.WithoutCancel(t.Context()), prefix, "", 10); err != nil || len(left) != 0 {
			t.Errorf("%d entries are left below %q: %v", len(left), prefix, err)
		}
	}
}

func testImport(t *testing.T, kv store.KV) {
	r := store.New(kv)
	addDevice(t, r, "device-000003") // known from elsewhere
	im := beginImport(t, r, day, false)
	stage(t, im, nil)
	stage(t, im, rows(0, 1))
	stage(t, im, rows(1, 1000)) // more than a chunk, and than is under way at once
	stage(t, im, rows(1000, 4000))
	wantManaged(t, r, "staged", 1, 0)

	var steps [][2]int
	result, err := im.Commit(t.Context(), func(done, total int) { steps = append(steps, [2]int{done, total}) })
	if want := (store.Result{Created: 3999, Updated: 1}); err != nil || result != want {
		t.Errorf("result %+v, want %+v: %v", result, want, err)
	}
	for i, s := range steps {
		if s[1] != 4000 || i > 0 && s[0] <= steps[i-1][0] {
			t.Errorf("progress %v", steps)
			break
		}
	}
	if len(steps) < 2 || steps[len(steps)-1][0] != 4000 {
		t.Errorf("progress %v does not end at 4000", steps)
	}
	wantManaged(t, r, "imported", 4000, 4000)
	wantNothingLeft(t, kv)
	d, err := r.Device(t.Context(), "device-000003")
	if err != nil || d.Vendor != "Dell" || d.Model != "Mac15,3" || len(d.Facts) != 2 || !d.CreatedAt.Equal(day) {
		t.Errorf("device that was known before: %+v, %v", d, err)
	}
	testImportAgain(t, r)
}

func testImportAgain(t *testing.T, r *store.Records) {
	later := day.Add(time.Hour)
	im := beginImport(t, r, later, false)
	changed := rows(10, 20)
	changed[0].Owner = "bob@example.com"
	changed[1].Facts[posture.FactManaged] = "false"
	changed[2].Facts["DiskEncrypted"] = "true"
	stage(t, im, append(changed, rows(9000, 9002)...))
	if got, want := apply(t, im), (store.Result{Created: 2, Updated: 3, Unchanged: 7}); got != want {
		t.Errorf("result %+v, want %+v", got, want)
	}
	d, err := r.Device(t.Context(), "device-000015")
	if err != nil || !d.Facts[0].ObservedAt.Equal(later) || !d.UpdatedAt.Equal(later) || !d.CreatedAt.Equal(day) {
		t.Errorf("unchanged device has not got the new time: %+v, %v", d, err)
	}
	wantManaged(t, r, "imported again", 4002, 4001)
}

func testImportReplace(t *testing.T, kv store.KV) {
	r := store.New(kv)
	addDevice(t, r, "elsewhere") // named by another source only
	im := beginImport(t, r, day, true)
	stage(t, im, rows(0, 700))
	apply(t, im)
	if _, err := r.RetireDevice(t.Context(), "device-000001", "lost", day); err != nil {
		t.Fatal(err)
	}

	later := day.Add(time.Hour)
	im = beginImport(t, r, later, true)
	silent := rows(0, 1)
	silent[0].Facts = nil // named, but no longer said to be managed
	stage(t, im, append(silent, rows(1, 100)...))
	if got, want := apply(t, im), (store.Result{Updated: 0, Unchanged: 100, Unmanaged: 601}); got != want {
		t.Errorf("result %+v, want %+v", got, want)
	}
	wantManaged(t, r, "replaced", 701, 99)
	wantNothingLeft(t, kv)
	d, err := r.Device(t.Context(), "device-000500")
	if err != nil || d.Facts[0].Value != "false" || !d.Facts[0].ObservedAt.Equal(later) {
		t.Errorf("device that is named no more: %+v, %v", d, err)
	}
	if d, err := r.Device(t.Context(), "elsewhere"); err != nil || d.Facts[0].Value != "true" {
		t.Errorf("device of another source: %+v, %v", d, err)
	}
	if d, err := r.Device(t.Context(), "device-000001"); err != nil || !d.Retired() {
		t.Errorf("an import brought a retired device back: %+v, %v", d, err)
	}

	im = beginImport(t, r, later.Add(time.Hour), true) // twice the same: nobody becomes unmanaged again
	stage(t, im, rows(1, 100))
	if got, want := apply(t, im), (store.Result{Unchanged: 99}); got != want {
		t.Errorf("result %+v, want %+v", got, want)
	}
}

// testImportReplaceAtAnyTime: an import that replaces is the source's last word
// also when the clock stood still since the one before, or was set back.
func testImportReplaceAtAnyTime(t *testing.T, kv store.KV) {
	for i, step := range []struct {
		what string
		at   time.Time
	}{
		{"first", day},
		{"at the same time", day},
		{"at the same time once more", day},
		{"a millisecond back", day.Add(-time.Millisecond)},
		{"ten minutes back", day.Add(-10 * time.Minute)},
		{"forward again", day},
	} {
		r := store.New(kv) // as after a restart
		im := beginImport(t, r, step.at, true)
		stage(t, im, rows(i*10, i*10+20))
		want := store.Result{Created: 10, Unchanged: 10, Unmanaged: 10}
		if i == 0 {
			want = store.Result{Created: 20}
		}
		if got := apply(t, im); got != want {
			t.Errorf("%s: result %+v, want %+v", step.what, got, want)
		}
		wantManaged(t, r, step.what, i*10+20, 20)
		d, err := r.Device(t.Context(), fmt.Sprintf("device-%06d", i*10))
		if err != nil || d.Facts[0].ObservedAt.Sub(step.at).Abs() > time.Second {
			t.Errorf("%s: observed at %s, not about %s: %v", step.what, d.Facts[0].ObservedAt, step.at, err)
		}
	}
	wantNothingLeft(t, kv)
}

func testImportRefused(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	im := beginImport(t, r, day, false)
	_, err := r.BeginImport(ctx, fileSource, day, false)
	wantErr(t, "second import", err, posture.ErrExists)
	_, err = store.New(kv).BeginImport(ctx, fileSource, day, false)
	wantErr(t, "second import by another process", err, posture.ErrExists)
	wantErr(t, "resume beside an import", r.ResumeImports(ctx), posture.ErrExists)

	huge := rows(0, 1)
	huge[0].Owner = strings.Repeat("x", 300_000)
	for name, bad := range map[string][]posture.Report{
		"no ID":        {{}},
		"ID too long":  {{DeviceID: strings.Repeat("x", 513)}},
		"ID not UTF-8": {{DeviceID: "\xff"}},
		"device twice": append(rows(0, 3), rows(1, 2)...),
		"row too big":  huge,
	} {
		if err := im.Stage(ctx, bad); err == nil {
			t.Errorf("%s: staged", name)
		}
	}
	for i := range 8 { // big rows: chunks are split by size, too
		big := rows(i, i+1)
		big[0].Owner = strings.Repeat("x", 100_000)
		stage(t, im, big)
	}
	if err := im.Abort(ctx); err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t, kv)
	wantManaged(t, r, "aborted", 0, 0)
	if err := im.Abort(ctx); err != nil {
		t.Errorf("abort again: %v", err)
	}
	if _, err := im.Commit(ctx, nil); err == nil {
		t.Error("an aborted import was committed")
	}

	// A client that goes while rows are on their way: none of them may be left
	// for the next import to find.
	for round := range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		im := beginImport(t, r, day, false)
		for i := range 20 {
			if i == round*2 {
				go cancel()
			}
			if err := im.Stage(ctx, rows(i*100, i*100+100)); err != nil {
				break
			}
		}
		cancel()
		if _, err := im.Commit(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("commit after the client has gone: %v", err)
		}
		wantNothingLeft(t, kv)
	}
	im = beginImport(t, r, day, false)
	stage(t, im, rows(0, 5))
	apply(t, im)
	wantManaged(t, r, "after imports that were given up", 5, 5)
}
