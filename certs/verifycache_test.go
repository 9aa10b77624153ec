package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"sync"
	"testing"
	"time"
)

// What is remembered of a chain must not outlive its dates.
func TestVerifyChecksDatesEachTime(t *testing.T) {
	t.Parallel()
	ours := root("Device authority")
	v := newTestVerifier(t, builtIn(ours))
	leaf := ours.leaf(dates(-day, day))
	for _, step := range []struct {
		after time.Duration
		want  error
	}{{0, nil}, {day, nil}, {day + time.Second, ErrExpired}, {0, nil}, {-2 * day, ErrExpired}, {0, nil}} {
		_, err := v.Verify(chain(leaf), testNow.Add(step.after))
		if step.want == nil && err != nil {
			t.Errorf("after %v: %v", step.after, err)
		}
		if step.want != nil {
			wantError(t, err, step.want, "")
		}
	}
}

// An authority whose certificate was renewed goes on vouching for what it
// issued under the old one.
func TestVerifyRenewedAuthority(t *testing.T) {
	t.Parallel()
	old := root("Device authority", dates(-700*day, -day))
	renewed := old.renewed(dates(-10*day, 700*day))
	leaf := old.leaf(dates(-30*day, 30*day))

	_, err := newTestVerifier(t, builtIn(old)).Verify(chain(leaf), testNow)
	wantError(t, err, ErrExpired, "")
	both := newTestVerifier(t, builtIn(old), builtIn(renewed))
	for _, now := range []time.Time{testNow, testNow.Add(-20 * day)} {
		if _, err := both.Verify(chain(leaf), now); err != nil {
			t.Errorf("at %v: %v", now, err)
		}
	}
}

// The same certificate with and without its intermediate are two questions.
func TestVerifyRemembersWholeChains(t *testing.T) {
	t.Parallel()
	corp := root("Corporate root")
	issuing := corp.sub("Issuing")
	v := newTestVerifier(t, trusted(corp, IDFromCN))
	leaf := issuing.leaf()
	_, err := v.Verify(chain(leaf), testNow)
	wantError(t, err, ErrUntrusted, "")
	if _, err := v.Verify(chain(leaf, issuing.cert), testNow); err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(chain(leaf), testNow)
	wantError(t, err, ErrUntrusted, "")
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache(100)
	key := func(i int) (k [sha256.Size]byte) {
		binary.BigEndian.PutUint32(k[:], uint32(i))
		return k
	}
	for i := range 1000 {
		c.put(key(i), judgement{})
		if n := len(c.young) + len(c.old); n > 100 {
			t.Fatalf("%d entries after %d", n, i+1)
		}
		if _, ok := c.get(key(0)); !ok {
			t.Fatalf("what is asked for all the time is forgotten after %d others", i)
		}
	}
	if _, ok := c.get(key(1)); ok {
		t.Error("what nobody asked for is remembered still")
	}
}

// A flood of foreign certificates must not push out what is known to be good.
func TestRefusalsDoNotEvict(t *testing.T) {
	t.Parallel()
	ours, other := root("Device authority"), root("Other")
	v := newTestVerifier(t, builtIn(ours))
	leaf := ours.leaf()
	if _, err := v.Verify(chain(leaf), testNow); err != nil {
		t.Fatal(err)
	}
	for range 2 * refusedEntries {
		v.refused.put(sha256.Sum256(must(newSerial()).Bytes()), judgement{err: ErrUntrusted})
	}
	_, err := v.Verify(chain(other.leaf()), testNow)
	wantError(t, err, ErrUntrusted, "")
	if _, ok := v.accepted.get(chainKey(chain(leaf))); !ok {
		t.Error("the good certificate is forgotten")
	}
}

// tangled makes as many paths as a client can: authorities of one name and one
// key, told apart by a name, each of which signed all the others.
func tangled(by issuer) []*x509.Certificate {
	certs := chain(by.leaf())
	for range maxIntermediates {
		c := caTemplate(by.cert.Subject.CommonName, []change{uris("urn:x:" + must(newSerial()).Text(16))})
		certs = append(certs, must(sign(c, by.cert, by.key.Public(), by.key)))
	}
	return certs
}

func TestSearchIsBounded(t *testing.T) {
	t.Parallel()
	ours := root("Device authority")
	certs := tangled(ours)
	s := search{leaf: certs[0], candidates: certs[1:]}
	for paths := []path{{anchor: builtIn(ours)}}; len(paths) > 0; {
		paths = s.extend(paths)
	}
	if s.signatures != maxSignatures || len(s.found) == 0 || len(s.found) > maxPaths {
		t.Errorf("%d signatures verified for %d paths, want the bound of %d", s.signatures, len(s.found), maxSignatures)
	}
	if id, err := newTestVerifier(t, builtIn(ours)).Verify(certs, testNow); err != nil || id.DeviceID != "laptop-1" {
		t.Errorf("got %+v, %v", id, err)
	}
}

// TestSearchUsesNoStrangersKey: what a stranger signed costs one signature of
// ours a certificate, whatever keys he has.
func TestSearchUsesNoStrangersKey(t *testing.T) {
	t.Parallel()
	ours := root("Device authority")
	certs := tangled(root("Device authority"))
	s := search{leaf: certs[0], candidates: certs[1:]}
	if longer := s.extend([]path{{anchor: builtIn(ours)}}); len(longer) != 0 || len(s.found) != 0 || s.signatures != len(certs) {
		t.Errorf("%d signatures verified, %d paths found and %d begun", s.signatures, len(s.found), len(longer))
	}
	_, err := newTestVerifier(t, builtIn(ours)).Verify(certs, testNow)
	wantError(t, err, ErrUntrusted, "no known authority")
}

// TestShortestPathIdentifies: an authority that another one signed too
// identifies its devices by its own rule, whatever the client sends along.
func TestShortestPathIdentifies(t *testing.T) {
	t.Parallel()
	corp := root("Corporate root")
	issuing := corp.sub("Issuing")
	again := must(sign(caTemplate("Issuing", nil), corp.cert, issuing.key.Public(), corp.key))
	leaf := issuing.leaf()
	v := newTestVerifier(t, trusted(corp, IDFromCN), trusted(issuing, IDFromURI))
	for _, presented := range [][]*x509.Certificate{chain(leaf), chain(leaf, again), chain(leaf, issuing.cert)} {
		id, err := v.Verify(presented, testNow)
		if err != nil || id.DeviceID != "laptop-1" || id.Authority != KeyHash(issuing.cert) {
			t.Errorf("%d certificates: got %+v, %v", len(presented), id, err)
		}
	}
}

func TestVerifyConcurrently(t *testing.T) {
	t.Parallel()
	ours := root("Device authority")
	v := newTestVerifier(t, builtIn(ours))
	good, bad := ours.leaf(), root("Other").leaf()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, err := v.Verify(chain(good), testNow); err != nil {
					t.Error(err)
				}
				if _, err := v.Verify(chain(bad), testNow); err == nil {
					t.Error("a foreign certificate was accepted")
				}
			}
		})
	}
	wg.Wait()
}

func FuzzVerify(f *testing.F) {
	ours := root("Device authority")
	corp := root("Corporate root")
	issuing := corp.sub("Issuing")
	f.Add(ours.leaf().Raw, ours.cert.Raw)
	f.Add(issuing.leaf().Raw, issuing.cert.Raw)
	f.Add(ours.leaf(extension(true), rawUsage(0)).Raw, []byte{})
	f.Add(ours.leaf(dates(-2*day, -day)).Raw, []byte{0x30, 0})
	v := newTestVerifier(f, builtIn(ours), trusted(corp, IDFromCN))
	f.Fuzz(func(t *testing.T, leafDER, otherDER []byte) {
		leaf, err := x509.ParseCertificate(leafDER)
		if err != nil {
			return
		}
		certs := chain(leaf)
		if other, err := x509.ParseCertificate(otherDER); err == nil {
			certs = append(certs, other)
		}
		id, err := v.Verify(certs, testNow)
		again, errAgain := v.Verify(certs, testNow)
		if id != again || (err == nil) != (errAgain == nil) {
			t.Fatalf("answered %+v, %v and then %+v, %v", id, err, again, errAgain)
		}
		if err != nil {
			if id != (Identity{}) {
				t.Fatalf("identity %+v beside error %v", id, err)
			}
			return
		}
		if id.DeviceID == "" || leaf.IsCA || testNow.After(leaf.NotAfter) || testNow.Before(leaf.NotBefore) {
			t.Fatalf("accepted %+v from %x", id, leafDER)
		}
		if id.BuiltIn && ValidDeviceID(id.DeviceID) != nil {
			t.Fatalf("device ID %q", id.DeviceID)
		}
	})
}
