package scep_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"

	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// FailInfo of RFC 8894 section 3.2.1.4.4, as text; noMessage is an error of HTTP.
const (
	badAlg, badMessageCheck, badRequest = "0", "1", "2"
	noMessage                           = "no message"
	success                             = ""
)

func (r reply) why() string {
	switch {
	case r.http == 400:
		return noMessage
	case r.http != 200:
		return fmt.Sprint("HTTP ", r.http)
	case r.status == "0":
		return success
	}
	return r.failInfo
}

// TestHostileLetters: every one of them has a challenge that is good, and only the
// change stands between it and a certificate.
func TestHostileLetters(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(s *site, l *letter)
		want   string
	}{
		"AES-128":               {func(*site, *letter) {}, success},
		"AES-256":               {func(_ *site, l *letter) { l.with = withAES256 }, success},
		"DES":                   {func(_ *site, l *letter) { l.with = withDES }, badMessageCheck},
		"3DES":                  {func(_ *site, l *letter) { l.with = with3DES }, badMessageCheck},
		"SHA-512":               {func(_ *site, l *letter) { l.digest = pkcs7.OIDDigestAlgorithmSHA512 }, success},
		"SHA-1":                 {func(_ *site, l *letter) { l.digest = pkcs7.OIDDigestAlgorithmSHA1 }, badAlg},
		"request by SHA-1":      {func(_ *site, l *letter) { l.sha1Request = true }, badMessageCheck},
		"wrong recipient":       {func(s *site, l *letter) { l.to = s.selfSigned(rsaKey(s.t, 1)) }, badMessageCheck},
		"UpdateReq":             {func(_ *site, l *letter) { l.kind = wire.UpdateReq }, badRequest},
		"CertPoll":              {func(_ *site, l *letter) { l.kind = wire.CertPoll }, badRequest},
		"GetCert":               {func(_ *site, l *letter) { l.kind = wire.GetCert }, badRequest},
		"GetCRL":                {func(_ *site, l *letter) { l.kind = wire.GetCRL }, badRequest},
		"CertRep":               {func(_ *site, l *letter) { l.kind = wire.CertRep }, badRequest},
		"no such type":          {func(_ *site, l *letter) { l.kind = wire.MessageType("99") }, badRequest},
		"type with zero":        {func(_ *site, l *letter) { l.kind = wire.MessageType("019") }, badRequest},
		"type with a blank":     {func(_ *site, l *letter) { l.kind = wire.MessageType("19 ") }, badRequest},
		"type is a number":      {func(_ *site, l *letter) { l.kind = 19 }, noMessage},
		"no type":               {func(_ *site, l *letter) { l.kind = nil }, noMessage},
		"no transaction":        {func(_ *site, l *letter) { l.transaction = nil }, noMessage},
		"empty transaction":     {func(_ *site, l *letter) { l.transaction = wire.TransactionID("") }, noMessage},
		"long transaction":      {func(_ *site, l *letter) { l.transaction = wire.TransactionID(strings.Repeat("a", 257)) }, noMessage},
		"odd transaction":       {func(_ *site, l *letter) { l.transaction = wire.TransactionID("/../\n\x00\u202e") }, success},
		"no nonce":              {func(_ *site, l *letter) { l.nonce = nil }, noMessage},
		"long nonce":            {func(_ *site, l *letter) { l.nonce = make([]byte, 65) }, noMessage},
		"other signer":          {func(s *site, l *letter) { l.signerKey = rsaKey(s.t, 1); l.signer = s.selfSigned(rsaKey(s.t, 1)) }, badRequest},
		"signer's key is other": {func(s *site, l *letter) { l.signerKey = rsaKey(s.t, 1) }, noMessage},
		"renewal by nobody":     {func(_ *site, l *letter) { l.kind = wire.RenewalReq }, badRequest},
		"renewal by the RA":     {func(s *site, l *letter) { l.kind, l.signer, l.signerKey = wire.RenewalReq, s.ra.Certificate, s.ra }, badRequest},
		"request by the RA":     {func(s *site, l *letter) { l.signer, l.signerKey = s.ra.Certificate, s.ra }, badRequest},
		"no attributes": {func(s *site, l *letter) {
			l.change = func(sd *pkcs7.SignedData, l *letter) {
				must(s.t, sd.SignWithoutAttr(l.signer, l.signerKey, pkcs7.SignerInfoConfig{}))
			}
		}, noMessage},
		"two signers": {func(s *site, l *letter) {
			l.change = func(sd *pkcs7.SignedData, l *letter) {
				must(s.t, sd.AddSigner(l.signer, l.signerKey, l.attributes()))
				must(s.t, sd.AddSigner(l.signer, l.signerKey, l.attributes()))
			}
		}, noMessage},
		"no signer":         {func(_ *site, l *letter) { l.change = func(*pkcs7.SignedData, *letter) {} }, noMessage},
		"no challenge":      {func(_ *site, l *letter) { l.challenge = "" }, badRequest},
		"unbound challenge": {func(s *site, l *letter) { l.challenge = s.challenge(devices.NewToken{Lifetime: time.Hour}) }, badRequest},
		"other serial":      {func(_ *site, l *letter) { l.subject.SerialNumber = "OTHER-0002" }, badRequest},
		"own serial":        {func(_ *site, l *letter) { l.subject.SerialNumber = "SCEP-0001" }, success},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			secret := s.challenge(devices.NewToken{DeviceID: "dev-1", Serial: "SCEP-0001", Lifetime: time.Hour})
			l := s.newLetter(0, secret)
			c.change(s, l)
			data := l.bytes(t)
			got := s.send(data, l.key, l.signer)
			if got.why() != c.want {
				t.Fatalf("%+v: %q, want %q\n%s", got, got.why(), c.want, s.log.String())
			}
			if want, _ := l.nonce.([]byte); got.http == 200 && !bytes.Equal(got.nonce, want) {
				t.Errorf("the answer is to the nonce %q, want %q", got.nonce, want)
			}
			want := 0
			if c.want == success {
				want = 1
			}
			if n := s.issued("dev-1"); n != want {
				t.Errorf("%d certificates, want %d", n, want)
			}
			if strings.Contains(s.log.String(), secret) {
				t.Error("the log holds the challenge")
			}
			// A refusal does not use the challenge.
			again := s.newLetter(0, secret)
			again.transaction = wire.TransactionID("transaction-2")
			if good := s.post(again).why() == success; good != (want == 0) {
				t.Errorf("afterwards the challenge is good: %v", good)
			}
		})
	}
}

// TestRetransmission: of any number of the same message one certificate comes.
func TestRetransmission(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.newLetter(0, s.challenge(devices.NewToken{DeviceID: "dev-1", Serial: "SCEP-0001", Lifetime: time.Hour}))
	data := l.bytes(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	serials := map[string]int{}
	for range 100 {
		wg.Go(func() {
			got := s.send(data, l.key, l.signer)
			mu.Lock()
			defer mu.Unlock()
			if got.certificate == nil {
				t.Errorf("refused: %+v", got)
				return
			}
			serials[got.certificate.SerialNumber.String()]++
		})
	}
	wg.Wait()
	if n := s.issued("dev-1"); n != 1 || len(serials) != 1 {
		t.Errorf("%d certificates, answers %v", n, serials)
	}
	other := s.newLetter(1, s.challenge(devices.NewToken{DeviceID: "dev-2", Serial: "SCEP-0002", Lifetime: time.Hour}))
	if got := s.post(other).why(); got != badRequest || s.issued("dev-2") != 0 {
		t.Errorf("another request in the same transaction: %q", got)
	}
}

// enrolled is a device with a certificate by SCEP.
func (s *site) enrolled(id string, key int) *x509.Certificate {
	s.t.Helper()
	l := s.newLetter(key, s.challenge(devices.NewToken{DeviceID: id, Serial: "SCEP-" + id, Lifetime: time.Hour}))
	l.transaction = wire.TransactionID("enrol " + id)
	got := s.post(l)
	if got.certificate == nil {
		s.t.Fatalf("%s cannot enrol: %+v\n%s", id, got, s.log.String())
	}
	return got.certificate
}

func TestHostileRenewals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(s *site, old *x509.Certificate, l *letter)
		want   string
	}{
		"renewal":  {func(*site, *x509.Certificate, *letter) {}, success},
		"request":  {func(_ *site, _ *x509.Certificate, l *letter) { l.kind = wire.PKCSReq }, success},
		"same key": {func(s *site, _ *x509.Certificate, l *letter) { l.key = rsaKey(s.t, 0) }, success},
		"retired": {func(s *site, _ *x509.Certificate, _ *letter) {
			_, err := s.records.RetireDevice(s.t.Context(), "dev-1", "sold", s.now())
			must(s.t, err)
		}, badRequest},
		"by the agent's certificate": {func(s *site, _ *x509.Certificate, l *letter) {
			var err error
			l.signer, err = s.issuer.Issue(s.t.Context(), "dev-1", rsaKey(s.t, 2).Public(), posture.RankSoftware, 0)
			must(s.t, err)
			l.signerKey = rsaKey(s.t, 2)
		}, badRequest},
		"another's key by its own": {func(s *site, _ *x509.Certificate, l *letter) {
			l.signer, l.signerKey = s.enrolled("dev-2", 2), rsaKey(s.t, 2)
			l.key = rsaKey(s.t, 0)
		}, badRequest},
		"expired":          {func(s *site, old *x509.Certificate, _ *letter) { s.pass(old.NotAfter.Sub(dawn) + time.Second) }, badRequest},
		"key of another":   {func(s *site, _ *x509.Certificate, l *letter) { s.enrolled("dev-2", 1) }, badRequest},
		"another's serial": {func(_ *site, _ *x509.Certificate, l *letter) { l.subject.SerialNumber = "SCEP-dev-2" }, success},
		"revoked": {func(s *site, old *x509.Certificate, _ *letter) {
			_, err := s.records.UpdateHardware(s.t.Context(), "dev-1", func(k *posture.KnownHardware) ([]posture.Certificate, error) {
				k.Certificates[0].RevokedAt, k.Certificates[0].RevokeReason = s.now(), "lost"
				return k.Certificates, nil
			})
			must(s.t, err)
		}, badRequest},
		"suspected": {func(s *site, _ *x509.Certificate, _ *letter) {
			_, err := s.records.UpdateHardware(s.t.Context(), "dev-1", func(k *posture.KnownHardware) ([]posture.Certificate, error) {
				k.Device.Suspected = &posture.Suspicion{At: dawn, Why: "a test"}
				return nil, nil
			})
			must(s.t, err)
		}, badRequest},
		"foreign authority": {func(s *site, old *x509.Certificate, l *letter) {
			foreign := newSite(s.t)
			l.signer = foreign.enrolled("dev-1", 0)
		}, badRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			old := s.enrolled("dev-1", 0)
			l := s.newLetter(1, "")
			l.kind, l.signer, l.signerKey, l.transaction = wire.RenewalReq, old, rsaKey(t, 0), wire.TransactionID("renew")
			c.before(s, old, l)
			got := s.send(l.bytes(t), rsaKey(t, 0), l.signer)
			if got.why() != c.want {
				t.Fatalf("%+v: %q, want %q\n%s", got, got.why(), c.want, s.log.String())
			}
			want := 1
			if c.want == success {
				want = 2
				if id, err := s.verifier.Verify([]*x509.Certificate{got.certificate}, s.now()); err != nil || id.DeviceID != "dev-1" {
					t.Errorf("the new certificate is %+v, %v", id, err)
				}
			}
			if n := s.issued("dev-1"); n != want {
				t.Errorf("%d certificates, want %d", n, want)
			}
		})
	}
}

// TestStaticChallenge: it names no device, and says nothing of management.
func TestStaticChallenge(t *testing.T) {
	t.Parallel()
	known := []posture.Device{
		{ID: "dev-1", Serial: "KNOWN-0001", CreatedAt: dawn}, {ID: "dev-2", Serial: "TWICE-0002", CreatedAt: dawn},
		{ID: "dev-3", Serial: "TWICE-0002", CreatedAt: dawn}, {ID: "dev-5", Serial: "To Be Filled By O.E.M.", CreatedAt: dawn},
	}
	for name, c := range map[string]struct {
		subject pkix.Name
		want    string
	}{
		"serial":            {pkix.Name{SerialNumber: "known-0001", CommonName: "x"}, success},
		"common name":       {pkix.Name{CommonName: "KNOWN-0001"}, success},
		"unknown":           {pkix.Name{CommonName: "NOBODY-0001"}, badRequest},
		"unknown by serial": {pkix.Name{CommonName: "KNOWN-0001", SerialNumber: "NOBODY-0001"}, badRequest},
		"two":               {pkix.Name{CommonName: "TWICE-0002"}, badRequest},
		"placeholder":       {pkix.Name{CommonName: "To Be Filled By O.E.M."}, badRequest},
		"empty":             {pkix.Name{Organization: []string{"Example"}}, badRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			for _, d := range known {
				_, err := s.records.UpdateDevice(t.Context(), d.ID, func(to *posture.Device, _ bool) error {
					*to = d
					return nil
				})
				must(t, err)
			}
			l := s.newLetter(0, sharedProfile)
			l.subject = c.subject
			if got := s.post(l); got.why() != c.want {
				t.Fatalf("%+v: %q, want %q\n%s", got, got.why(), c.want, s.log.String())
			}
			total := 0
			for _, d := range known {
				total += s.issued(d.ID)
			}
			if (c.want == success) != (total == 1) {
				t.Errorf("%d certificates", total)
			}
			if c.want != success {
				return
			}
			d, err := s.records.Device(t.Context(), "dev-1")
			must(t, err)
			if !d.Pending() {
				t.Error("the challenge made the device managed")
			}
			second := s.newLetter(1, sharedProfile)
			second.subject, second.transaction = c.subject, wire.TransactionID("second")
			if got := s.post(second); got.why() != success {
				t.Fatalf("a second key: %+v", got)
			}
			d, err = s.records.Device(t.Context(), "dev-1")
			must(t, err)
			if d.Suspected == nil {
				t.Error("two keys for one device, and no suspicion")
			}
			all, err := s.records.Certificates(t.Context(), "dev-1")
			must(t, err)
			held := 0
			for _, c := range all {
				if c.Held {
					held++
				}
			}
			if held != 1 {
				t.Errorf("%d of %d certificates are held", held, len(all))
			}
		})
	}
}

// TestCutMessages: no beginning of a message, and none with a byte changed, is
// answered with a certificate for what was not asked.
func TestCutMessages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.newLetter(0, s.challenge(devices.NewToken{DeviceID: "dev-1", Serial: "SCEP-0001", Lifetime: time.Hour}))
	l.kind = wire.UpdateReq
	data := l.bytes(t)
	for i := 0; i < len(data); i += 11 {
		if got := s.send(data[:i], l.key, l.signer); got.why() != noMessage {
			t.Errorf("the first %d bytes: %+v", i, got)
		}
		changed := append([]byte(nil), data...)
		changed[i] ^= 0x55
		if got := s.send(changed, l.key, l.signer); got.why() == success || got.http >= 500 {
			t.Errorf("byte %d changed: %+v", i, got)
		}
	}
	if n := s.issued("dev-1"); n != 0 {
		t.Errorf("%d certificates", n)
	}
}
