package admin

import (
	"context"
	"net/http"
	"testing"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

func TestActions(t *testing.T) {
	client, records := newStored(t)
	ctx := context.Background()
	if _, err := importCSV(t, client, "id,owner,managed,compliant\nmac-1,ann,true,true\nwin-2,Ann,true,true\n", false); err != nil {
		t.Fatal(err)
	}
	mac, ann := devices.Target{Device: "mac-1"}, devices.Target{Owner: "ANN"}
	done, err := client.Quarantine(ctx, mac, devices.Order{For: 8 * time.Hour, By: "soc", Why: "alert 7"})
	want := posture.Quarantine{At: now, Until: now.Add(8 * time.Hour), By: "soc", Why: "alert 7"}
	if err != nil || len(done) != 1 || !done[0].Changed || *done[0].Quarantine != want {
		t.Fatalf("%+v, %v", done, err)
	}
	d, err := client.Device(ctx, "mac-1")
	if err != nil || *d.Quarantine != want || d.Verdict.Reason != posture.Quarantined || !d.Verdict.Managed || d.Verdict.Compliant {
		t.Errorf("%+v, %v", d, err)
	}
	list, err := client.Devices(ctx, DeviceQuery{Owner: "aNn"})
	if err != nil || len(list.Devices) != 2 || *list.Devices[0].Quarantine != want || list.Devices[1].Quarantine != nil {
		t.Errorf("%+v, %v", list, err)
	}
	if done, err = client.Quarantine(ctx, ann, devices.Order{By: "soc", Why: "all"}); err != nil || len(done) != 2 || !done[1].Quarantine.Until.IsZero() {
		t.Errorf("%+v, %v", done, err)
	}
	if done, err = client.Lift(ctx, ann); err != nil || len(done) != 2 || !done[0].Changed || !done[1].Changed {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err = client.Recheck(ctx, mac); err == nil {
		t.Error("a device without an agent is asked for a report")
	} else {
		wantProblem(t, err, http.StatusConflict, "no agent of the device ever enrolled")
	}
	if done, err = client.Recheck(ctx, ann); err != nil || len(done) != 2 || done[0].Skipped == "" || done[0].Changed {
		t.Errorf("%+v, %v", done, err)
	}
	if done, err = client.Retire(ctx, ann, "left"); err != nil || len(done) != 2 || !done[0].Changed {
		t.Errorf("%+v, %v", done, err)
	}
	if d, err := records.Device(ctx, "win-2"); err != nil || !d.Retired() {
		t.Errorf("%+v, %v", d, err)
	}
	_, err = client.Quarantine(ctx, mac, devices.Order{By: "soc", Why: "late"})
	wantProblem(t, err, http.StatusConflict, "retired")
	_, err = client.Lift(ctx, devices.Target{Owner: "eve"})
	wantProblem(t, err, http.StatusNotFound, "no device of this owner")
	_, err = client.Lift(ctx, devices.Target{Device: "a/b"})
	wantProblem(t, err, http.StatusNotFound, "no such device")
	_, err = client.Lift(ctx, devices.Target{})
	wantProblem(t, err, http.StatusBadRequest, "one device or one owner")
	_, err = client.act(ctx, "quarantine", action{Target: mac, For: "0s", By: "soc", Why: "alert"})
	wantProblem(t, err, http.StatusUnprocessableEntity, "write it as 8h")
	_, err = client.act(ctx, "quarantine", action{Target: mac, For: "soon", By: "soc", Why: "alert"})
	wantProblem(t, err, http.StatusUnprocessableEntity, "write it as 8h")
}
