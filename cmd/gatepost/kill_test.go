package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/certs"
	"gatepost.dev/conform"
	"gatepost.dev/events/trail"
	"gatepost.dev/events/webhook"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

// kills is how often TestKillLosesNoReport kills the server: 100 times, or as the
// environment says.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("GATEPOST_KILLS")
	if text == "" {
		return 100
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("GATEPOST_KILLS=%q is no number", text)
	}
	return n
}

// acknowledged is what the server said that it had stored.
type acknowledged struct {
	mu      sync.Mutex
	reports map[string]uint64 // the greatest sequence, by device
	devices map[string]bool   // that enrolled
	stored  map[string]uint64 // the sequence that was in the store after the last kill
	asked   int               // enrolments
}

func (a *acknowledged) report(id string, sequence uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reports[id] = sequence
}

func (a *acknowledged) enrolled(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.devices[id] = true
}

// check demands that all of it is in the store, which nobody may have open, and
// that no sequence went back.
func (a *acknowledged) check(t *testing.T, path string) {
	t.Helper()
	db, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	records := store.New(db)
	for id := range a.devices {
		d, err := records.Device(t.Context(), id)
		if err != nil {
			t.Errorf("device %q, whose enrolment was acknowledged: %v", id, err)
			continue
		}
		var sequence uint64
		if d.Agent != nil {
			sequence = d.Agent.Sequence
		}
		if sequence < a.reports[id] || sequence < a.stored[id] {
			t.Errorf("device %q: report %d is stored, %d was acknowledged, and %d was stored before", id, sequence, a.reports[id], a.stored[id])
		}
		a.stored[id] = sequence
		certificates, err := records.Certificates(t.Context(), id)
		if err != nil || len(certificates) != 1 || d.Enrolled == nil || d.Suspected != nil {
			t.Errorf("device %q: %d certificates, enrolled %v, suspected %v: %v", id, len(certificates), d.Enrolled, d.Suspected, err)
		}
		token := d.Enrolled.Token
		page, err := records.Tokens(t.Context(), token, 1)
		if err != nil || len(page) != 1 || page[0].ID() != token || page[0].UsedBy != id {
			t.Errorf("device %q: its token %+v: %v", id, page, err)
		}
	}
	a.checkLog(t, records, filepath.Dir(path))
}

// checkLog demands that the log is whole and says once of each device that it
// enrolled.
func (a *acknowledged) checkLog(t *testing.T, records *store.Records, dir string) {
	t.Helper()
	authority, err := certs.LoadAuthority(filepath.Join(dir, "device-ca.crt"), filepath.Join(dir, "device-ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := newLogKey(authority)
	if err != nil {
		t.Fatal(err)
	}
	if err := records.Seal(t.Context(), key, webhook.Body); err != nil {
		t.Fatal(err)
	}
	bounds, err := records.LogBounds(t.Context())
	if err != nil || len(bounds) != 1 {
		t.Fatalf("%+v, %v", bounds, err)
	}
	v, err := trail.NewVerifier(bounds[0], key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := records.LogEntries(t.Context(), bounds[0].Node, 0, int(v.Total())+1)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]int{}
	for _, text := range kept {
		e, err := v.Add(text, func(id string) ([]byte, error) { return records.DecisionRecord(t.Context(), id) })
		if err != nil {
			t.Fatal(err)
		}
		if e.Event.Kind == posture.DeviceEnrolled {
			said[e.Event.DeviceID]++
		}
	}
	if _, _, err := v.End(); err != nil {
		t.Error(err)
	}
	for id := range a.devices {
		if said[id] != 1 {
			t.Errorf("the log says %d times that device %q enrolled", said[id], id)
		}
	}
}

// load enrols devices and lets those that did report, until the server is gone.
// began is called once the server has stored something of each kind.
func (a *acknowledged) load(ctx context.Context, in *installation, roots *x509.CertPool, members []*member, began func()) []*member {
	tokens, client := admin.NewSocketClient(filepath.Join(in.dir, "gp", "gatepost.sock")), newFleetHTTP(roots)
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	var once sync.WaitGroup
	once.Add(len(members) + 1)
	ended := make(chan struct{}) // or it would end the next server, when all fail before it does
	go func() {
		defer close(ended)
		once.Wait()
		began()
	}()
	for _, m := range members {
		wg.Go(func() {
			first := sync.OnceFunc(once.Done)
			defer first()
			if m.connect(ctx, roots) != nil {
				return
			}
			for {
				if _, err := m.report(); err != nil {
					return
				}
				a.report(m.id, m.sequence)
				first()
			}
		})
	}
	var more []*member
	wg.Go(func() {
		first := sync.OnceFunc(once.Done)
		defer first()
		for {
			a.asked++ // new hardware each time: what was not acknowledged may be there too
			m, err := enrolMember(ctx, tokens, client, in.issuer, a.asked)
			if err != nil {
				return
			}
			a.enrolled(m.id)
			more = append(more, m)
			first()
		}
	})
	wg.Wait()
	<-ended
	return more
}

// TestKillLosesNoReport kills a busy server again and again: no report, enrolment
// or decision that was acknowledged is lost, and no sequence goes back.
func TestKillLosesNoReport(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	if err := editFile(filepath.Join(in.dir, in.config), "per_minute: 30", "per_minute: 6000"); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(in.dir, "gp", "trial-ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	a := &acknowledged{reports: map[string]uint64{}, devices: map[string]bool{}, stored: map[string]uint64{}}
	answered := map[string]string{}
	var members []*member
	server := in.serve(t)
	for range kills(t) {
		tr := newTraffic(t, in)
		tr.start(t, in, conform.Redirect)
		more := a.load(t.Context(), in, roots, members, func() {
			time.Sleep(30 * time.Millisecond) // and then some more of each
			server.kill()
		})
		tr.wg.Wait()
		maps.Copy(answered, tr.answered)
		wantDecided(t, answered, in.decided(t), false)
		a.check(t, filepath.Join(in.dir, "gp", "gatepost.db"))
		members = append(members, more...)
		members = members[max(0, len(members)-8):]
		if server = in.serve(t); t.Failed() {
			break
		}
	}
	if len(a.reports) == 0 || len(a.devices) == 0 || len(answered) == 0 {
		t.Errorf("%d devices reported, %d enrolled, %d sign-ins were answered: nothing was tested", len(a.reports), len(a.devices), len(answered))
	}
	t.Logf("%d devices enrolled, %d sign-ins", len(a.devices), len(answered))
}
