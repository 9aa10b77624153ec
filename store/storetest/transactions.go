package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// newExchange has an ID that ends in n.
func newExchange(n int) *posture.Transaction {
	return &posture.Transaction{ID: fmt.Sprintf("%064x", n), Request: "r", Certificate: []byte{1, 2}, Until: day.Add(time.Hour)}
}

// testTransactions: an exchange is kept with the certificate that came of it, or not
// at all, and no second one by its ID.
func testTransactions(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	addDevice(t, r, "a")
	_, err := r.Transaction(ctx, newExchange(1).ID)
	wantErr(t, "transaction that is not there", err, posture.ErrNoTransaction)

	if err := r.AddRenewal(ctx, newCertificate("a", 1), posture.Renewal{Transaction: newExchange(1)}); err != nil {
		t.Fatal(err)
	}
	kept, err := r.Transaction(ctx, newExchange(1).ID)
	if err != nil || kept.Request != "r" || string(kept.Certificate) != "\x01\x02" || !kept.Until.Equal(day.Add(time.Hour)) {
		t.Errorf("kept: %+v, %v", kept, err)
	}
	wantErr(t, "renewal in a transaction that was", r.AddRenewal(ctx, newCertificate("a", 2), posture.Renewal{Transaction: newExchange(1)}), posture.ErrExists)
	if err := r.AddRenewal(ctx, newCertificate("a", 2), posture.Renewal{Transaction: &posture.Transaction{}}); err == nil {
		t.Error("a transaction without an ID was kept")
	}
	wantErr(t, "renewal with a key in use", r.AddRenewal(ctx, newCertificate("a", 1), posture.Renewal{Transaction: newExchange(2)}), posture.ErrKeyInUse)
	_, err = r.Transaction(ctx, newExchange(2).ID)
	wantErr(t, "transaction of a refused renewal", err, posture.ErrNoTransaction)
	if list, err := r.Certificates(ctx, "a"); err != nil || len(list) != 1 {
		t.Errorf("certificates: %+v, %v", list, err)
	}

	if err := r.SweepTransactions(ctx, day.Add(time.Hour-time.Nanosecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Transaction(ctx, newExchange(1).ID); err != nil {
		t.Errorf("swept too early: %v", err)
	}
	if err := r.SweepTransactions(ctx, day.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, err = r.Transaction(ctx, newExchange(1).ID)
	wantErr(t, "transaction that was swept", err, posture.ErrNoTransaction)
}

// testSameKey: the key of a device's own certificate, and of no other's, is taken by
// a renewal that says so.
func testSameKey(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	addDevice(t, r, "a")
	addDevice(t, r, "b")
	addCertificate(t, r, newCertificate("a", 1))
	again := func(device string, serial int) posture.Certificate {
		c := newCertificate(device, 1)
		c.Serial = newCertificate(device, serial).Serial
		return c
	}
	same := posture.Renewal{SameKey: true}
	wantErr(t, "the key again", r.AddRenewal(ctx, again("a", 2), posture.Renewal{}), posture.ErrKeyInUse)
	wantErr(t, "the key of another device", r.AddRenewal(ctx, again("b", 3), same), posture.ErrKeyInUse)
	wantErr(t, "a serial number again", r.AddRenewal(ctx, again("a", 1), same), posture.ErrExists)
	for n := 4; n < 6; n++ {
		if err := r.AddRenewal(ctx, again("a", n), same); err != nil {
			t.Errorf("the key, wanted: %v", err)
		}
	}
	wantErr(t, "the key of another device, later", r.AddRenewal(ctx, again("b", 6), same), posture.ErrKeyInUse)
	wantErr(t, "the key for a first certificate", r.AddCertificate(ctx, again("a", 7)), posture.ErrKeyInUse)
	for id, want := range map[string]int{"a": 3, "b": 0} {
		if list, err := r.Certificates(ctx, id); err != nil || len(list) != want {
			t.Errorf("%s has %d certificates, want %d: %v", id, len(list), want, err)
		}
	}
}

// testTransactionOnce: of 50 renewals at once in one transaction one succeeds, with a
// new key and with the same.
func testTransactionOnce(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	addDevice(t, r, "a")
	addCertificate(t, r, newCertificate("a", 1))
	for n, sameKey := range []bool{false, true} {
		var won atomic.Int32
		race(50, func(i int) {
			c := newCertificate("a", 1000*(n+1)+i)
			if sameKey {
				c.KeyHash = newCertificate("a", 1).KeyHash
			}
			switch err := r.AddRenewal(ctx, c, posture.Renewal{Transaction: newExchange(n + 1), SameKey: sameKey}); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, posture.ErrExists):
				t.Error(err)
			}
		})
		list, err := r.Certificates(ctx, "a")
		if err != nil || won.Load() != 1 || len(list) != n+2 {
			t.Errorf("same key %t: %d renewals in one transaction, %d certificates: %v", sameKey, won.Load(), len(list), err)
		}
	}
}

// testEnrollWithoutToken: a device enrols without a token once in a transaction.
func testEnrollWithoutToken(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	enroll := func(n int, transaction *posture.Transaction) error {
		return r.Enroll(ctx, "", posture.Clues{Serial: newDevice("a").Serial}, func(e *posture.Enrolling) error {
			e.Device, e.Certificate, e.Transaction = newDevice("a"), newCertificate("a", n), transaction
			for _, k := range e.Known {
				e.Device = k.Device
			}
			return nil
		})
	}
	if err := enroll(1, newExchange(1)); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "in a transaction that was", enroll(2, newExchange(1)), posture.ErrExists)
	wantErr(t, "with a key in use", enroll(1, newExchange(2)), posture.ErrKeyInUse)
	if err := enroll(3, nil); err != nil {
		t.Errorf("in none: %v", err)
	}
	if tokens, err := r.Tokens(ctx, "", 10); err != nil || len(tokens) != 0 {
		t.Errorf("tokens: %+v, %v", tokens, err)
	}
}
