package scep

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// TestEnrolAndRenew: a bound token enrols its device once, and the certificate that
// came of it renews, whichever message it signs.
func TestEnrolAndRenew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(w.token(devices.NewToken{DeviceID: "mac-1"}))
	c.subject = pkix.Name{CommonName: "another-device"} // which says nothing
	first := c.enrolled()
	known, err := w.records.Certificate(t.Context(), w.authority.ID(), certs.Serial(first))
	if err != nil || known.DeviceID != "mac-1" || known.Channel != posture.BySCEP || known.RankOf() != posture.RankSoftware || !known.Agent || known.Held {
		t.Errorf("%+v, %v", known, err)
	}
	if first.Subject.CommonName != "mac-1" || len(first.URIs) != 1 || first.URIs[0].String() != "urn:gatepost:device:mac-1" || first.KeyUsage&x509.KeyUsageKeyEncipherment == 0 {
		t.Errorf("issued to %s, %v, usage %b", first.Subject, first.URIs, first.KeyUsage)
	}
	c.challenge, c.kind = "", wire.RenewalReq
	second := c.enrolled()
	c.kind, c.csrKey = wire.PKCSReq, keys()
	third, _ := c.ask()
	if third == nil || certs.Serial(second) == certs.Serial(third) || certs.KeyHash(third) == certs.KeyHash(second) || w.issued("mac-1") != 3 {
		t.Errorf("%v, %v; %d issued", second, third, w.issued("mac-1"))
	}
	if d := w.device("mac-1"); d.Suspected != nil || !d.Pending() {
		t.Errorf("%+v", d)
	}
}

// TestRefused: nothing is issued for what is not right, and the client is told no
// more than the standard has words for.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported("mac-2", "C02TWICE")
	w.imported("mac-3", "C02TWICE")
	w.imported("mac-4", "C02GONE")
	if _, err := w.records.UpdateDevice(t.Context(), "mac-4", func(d *posture.Device, _ bool) error { d.RetiredAt = begin; return nil }); err != nil {
		t.Fatal(err)
	}
	used := w.token(devices.NewToken{DeviceID: "mac-1"})
	w.client(used).enrolled()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what  string
		want  wire.FailInfo
		spoil func(c *client)
	}{
		{"a challenge that was used", wire.BadRequest, func(c *client) { c.challenge = used }},
		{"a token for any device", wire.BadRequest, func(c *client) { c.challenge = w.token(devices.NewToken{}) }},
		{"a challenge that never was", wire.BadRequest, func(c *client) { c.challenge = "gpe_none" }},
		{"no challenge", wire.BadRequest, func(c *client) { c.challenge = "" }},
		{"an UpdateReq", wire.BadRequest, func(c *client) { c.kind = wire.UpdateReq }},
		{"a CertPoll", wire.BadRequest, func(c *client) { c.kind = wire.CertPoll }},
		{"a GetCert", wire.BadRequest, func(c *client) { c.kind = wire.GetCert }},
		{"a GetCRL", wire.BadRequest, func(c *client) { c.kind = wire.GetCRL }},
		{"a CertRep", wire.BadRequest, func(c *client) { c.kind = wire.CertRep }},
		{"an unknown type", wire.BadRequest, func(c *client) { c.kind = "42" }},
		{"a renewal by nobody", wire.BadRequest, func(c *client) { c.kind = wire.RenewalReq }},
		{"a key that did not sign", wire.BadRequest, func(c *client) { c.csrKey = keys() }},
		{"a weak digest", wire.BadAlg, func(c *client) { c.digest = pkcs7.OIDDigestAlgorithmSHA1 }},
		{"a signer nothing can be encrypted to", wire.BadAlg, func(c *client) { c.key, c.certificate = p256, selfSigned(t, p256) }},
		{"a profile without a serial number", wire.BadRequest, func(c *client) { c.challenge = static }},
		{"a profile for hardware that nobody knows", wire.BadRequest, func(c *client) { c.challenge, c.subject.SerialNumber = static, "C02NEW" }},
		{"a profile for one of two", wire.BadRequest, func(c *client) { c.challenge, c.subject.SerialNumber = static, "C02TWICE" }},
		{"a profile for what is retired", wire.BadRequest, func(c *client) { c.challenge, c.subject.SerialNumber = static, "C02GONE" }},
		{"nearly the profile's challenge", wire.BadRequest, func(c *client) { c.challenge, c.subject.SerialNumber = static+"x", "C02NEW" }},
	} {
		secret := w.token(devices.NewToken{DeviceID: "mac-5"})
		c := w.client(secret)
		tt.spoil(c)
		c.refused(tt.what, tt.want)
		for _, id := range []string{"mac-2", "mac-3", "mac-4", "mac-5"} {
			if n := w.issued(id); n != 0 {
				t.Errorf("%s: %d issued to %s", tt.what, n, id)
			}
		}
		if kept, err := w.records.Token(t.Context(), devices.HashToken(secret)); err != nil || !kept.UsedAt.IsZero() {
			t.Errorf("%s: token %+v, %v", tt.what, kept, err)
		}
	}
	if w.issued("mac-1") != 1 {
		t.Errorf("%d issued to mac-1", w.issued("mac-1"))
	}
}

// TestRenewalIsRefused: only a certificate that counts renews, and only one that
// came this way.
func TestRenewalIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	change := func(id string, change func(k *posture.KnownHardware)) {
		t.Helper()
		_, err := w.records.UpdateHardware(t.Context(), id, func(k *posture.KnownHardware) ([]posture.Certificate, error) {
			change(k)
			return k.Certificates, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for what, spoil := range map[string]func(k *posture.KnownHardware){
		"revoked":            func(k *posture.KnownHardware) { k.Certificates[0].RevokedAt = begin },
		"held":               func(k *posture.KnownHardware) { k.Certificates[0].Held = true },
		"an agent's":         func(k *posture.KnownHardware) { k.Certificates[0].Channel = posture.ByAgent },
		"an administrator's": func(k *posture.KnownHardware) { k.Certificates[0].Channel = "" },
		"suspected":          func(k *posture.KnownHardware) { k.Device.Suspected = &posture.Suspicion{At: begin, Why: "two"} },
		"retired":            func(k *posture.KnownHardware) { k.Device.RetiredAt = begin },
		"expired":            func(*posture.KnownHardware) {},
	} {
		id := "mac-" + strings.ReplaceAll(what, " ", "-")
		id = strings.ReplaceAll(id, "'", "")
		c := w.client(w.token(devices.NewToken{DeviceID: id}))
		c.enrolled()
		change(id, spoil)
		if what == "expired" {
			w.offset.Add(int64(91 * 24 * time.Hour))
		}
		for _, kind := range []wire.MessageType{wire.RenewalReq, wire.PKCSReq} {
			c.challenge, c.kind, c.csr, c.transaction = "", kind, nil, "t-"+rand.Text()
			c.refused(what, wire.BadRequest)
		}
		w.offset.Store(0)
		if n := w.issued(id); n != 1 {
			t.Errorf("%s: %d issued", what, n)
		}
	}
	foreign := newWorld(t)
	c := foreign.client(foreign.token(devices.NewToken{DeviceID: "mac-1"}))
	c.enrolled()
	c.w, c.challenge, c.kind = w, "", wire.RenewalReq
	c.refused("a certificate of another authority", wire.BadRequest)
}

// TestRetransmission: the same request gets the same certificate, from any number of
// connections and after a restart; another one by that transaction gets none.
func TestRetransmission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(w.token(devices.NewToken{DeviceID: "mac-1"}))
	message := c.message()
	var mu sync.Mutex
	serials := map[string]int{}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			answer, err := w.operate(t.Context(), message)
			if err != nil {
				t.Error(err)
				return
			}
			certificate, why := c.read(answer)
			if certificate == nil {
				t.Errorf("refused: %s", why)
				return
			}
			mu.Lock()
			serials[certs.Serial(certificate)]++
			mu.Unlock()
		})
	}
	all.Wait()
	if len(serials) != 1 || w.issued("mac-1") != 1 {
		t.Fatalf("%v, %d issued", serials, w.issued("mac-1"))
	}
	restarted := *w.Server
	again, err := restarted.operate(t.Context(), c.message())
	if err != nil {
		t.Fatal(err)
	}
	if certificate, _ := c.read(again); certificate == nil || serials[certs.Serial(certificate)] != 50 {
		t.Errorf("after a restart: %v", certificate)
	}
	c.csr, c.challenge = nil, w.token(devices.NewToken{DeviceID: "mac-1"})
	c.refused("another request", wire.BadRequest)
	w.offset.Add(int64(keptFor + time.Second))
	if c.refused("with a used challenge, later", wire.BadRequest); w.issued("mac-1") > 2 {
		t.Errorf("%d issued", w.issued("mac-1"))
	}
}

// TestRenewalRetransmission: of any number of the same renewal one certificate comes,
// with a new key and with the same.
func TestRenewalRetransmission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(w.token(devices.NewToken{DeviceID: "mac-1"}))
	c.enrolled()
	for n, key := range []crypto.Signer{keys(), c.key} {
		c.kind, c.challenge, c.csrKey, c.csr, c.transaction = wire.RenewalReq, "", key, nil, "t-"+rand.Text()
		message := c.message()
		var mu sync.Mutex
		serials := map[string]int{}
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				answer, err := w.operate(t.Context(), message)
				if err != nil {
					t.Error(err)
					return
				}
				certificate, why := c.read(answer)
				mu.Lock()
				defer mu.Unlock()
				if certificate == nil {
					serials["refused "+string(why)]++
				} else {
					serials[certs.Serial(certificate)]++
				}
			})
		}
		all.Wait()
		if len(serials) != 1 || w.issued("mac-1") != n+2 {
			t.Errorf("renewal %d: %v, %d issued", n+1, serials, w.issued("mac-1"))
		}
		c.csr, c.csrKey = nil, keys()
		c.refused("another key in the transaction", wire.BadRequest)
	}
}

// TestProfile: with a challenge that all devices share one enrols as a device of the
// inventory, never as managed, and takes no other key's place.
func TestProfile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported("mac-1", "C02ABC")
	first := w.client(static)
	first.subject.SerialNumber = "c02abc"
	first.enrolled()
	if d := w.device("mac-1"); d.Suspected != nil || !d.Pending() {
		t.Errorf("%+v", d)
	}
	second := w.client(static)
	second.subject.CommonName = "C02ABC"
	held := second.enrolled()
	known, err := w.records.Certificate(t.Context(), w.authority.ID(), certs.Serial(held))
	if d := w.device("mac-1"); err != nil || !known.Held || d.Suspected == nil || d.Contest == nil {
		t.Errorf("%+v, %+v, %v", known, d, err)
	}
	for _, c := range []*client{first, second} {
		c.challenge, c.kind, c.csr = "", wire.RenewalReq, nil
		c.refused("a renewal of a suspect", wire.BadRequest)
	}
}

// TestHTTP: by GET and POST, and what is no message is an error of HTTP.
func TestHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serve := func(method, query string, body string) (*httptest.ResponseRecorder, error) {
		r := httptest.NewRequest(method, "/scep?"+query, strings.NewReader(body))
		rec := httptest.NewRecorder()
		return rec, w.ServeSCEP(rec, r)
	}
	rec, err := serve("GET", "operation=GetCACaps&message=1", "")
	if lines := strings.Fields(rec.Body.String()); err != nil || !slices.Contains(lines, "AES") || !slices.Contains(lines, "Renewal") || slices.Contains(lines, "DES3") || slices.Contains(lines, "SHA-1") {
		t.Errorf("%v, %v", lines, err)
	}
	rec, err = serve("GET", "operation=GetCACert&message=0", "")
	found, parseErr := wire.CACerts(rec.Body.Bytes())
	if err != nil || parseErr != nil || len(found) != 2 || !found[0].Equal(w.RA.Certificate) || rec.Header().Get("Content-Type") != "application/x-x509-ca-ra-cert" {
		t.Errorf("%v, %v, %v", found, err, parseErr)
	}
	for _, method := range []string{"GET", "POST"} {
		c := w.client(w.token(devices.NewToken{DeviceID: "mac-" + method}))
		query, body := "operation=PKIOperation", string(c.message())
		if method == "GET" {
			query, body = query+"&message="+url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(body))), ""
		}
		rec, err := serve(method, query, body)
		if err != nil {
			t.Fatal(method, err)
		}
		if certificate, why := c.read(rec.Body.Bytes()); certificate == nil || rec.Header().Get("Content-Type") != "application/x-pki-message" {
			t.Errorf("%s: %s, %v", method, why, rec.Header())
		}
	}
	good := w.client("x").message()
	for what, message := range map[string][]byte{
		"nothing": nil, "noise": []byte("noise"), "cut short": good[:len(good)/2], "more behind": append(slices.Clone(good), 0), "changed": changed(good),
		"levels": []byte(strings.Repeat("\x30\x80", 20000)), "a long transaction": long(w).message(),
	} {
		_, err := serve("POST", "operation=PKIOperation", string(message))
		if e, ok := errors.AsType[*web.Error](err); what != "more behind" && (!ok || e.Status != http.StatusBadRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := serve("GET", "operation=PKIOperation&message=!", ""); err == nil {
		t.Error("took what is no base64")
	}
	if _, err := serve("GET", "operation=GetNextCACert", ""); err == nil {
		t.Error("took an operation that there is not")
	}
}

func changed(message []byte) []byte {
	message = slices.Clone(message)
	message[len(message)-20] ^= 1 // in the signature
	return message
}

func long(w *world) *client {
	c := w.client("x")
	c.transaction = strings.Repeat("t", maxTransactionID+1)
	return c
}
