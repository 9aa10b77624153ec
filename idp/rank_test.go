package idp_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/certs"
	"gatepost.dev/conform"
	"gatepost.dev/contract"
	"gatepost.dev/posture"
)

// TestRankIsJudgedAndRecorded: the policy's demand is held against what the
// inventory knows of the very certificate, and the decision says what it was.
func TestRankIsJudgedAndRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	want := func(what string, demanded, rank posture.Rank, reason posture.Reason) {
		t.Helper()
		w.party.Policy = &posture.Policy{Name: "default", Rank: demanded}
		in := w.signIn(client, conform.RequestOptions{Subject: user})
		d := w.lastDecision()
		if in.Managed != (reason == "") || in.StatusDetail != string(reason) || d.Reason != reason || d.DeviceID != "mac-1" ||
			d.Proof != (posture.Proof{Method: posture.ByCertificate, Rank: rank}) {
			t.Errorf("%s: managed %t, detail %q, decision %+v", what, in.Managed, in.StatusDetail, d)
		}
	}
	want("from before there were ranks", posture.RankSoftware, posture.RankSoftware, "")
	want("too weak", posture.RankHardware, posture.RankSoftware, posture.WeakProof)
	must(w.records.UpdateHardware(t.Context(), "mac-1", func(k *posture.KnownHardware) ([]posture.Certificate, error) {
		k.Certificates[0].Rank = posture.RankAttested
		return k.Certificates, nil
	}))(t)
	want("attested", posture.RankHardware, posture.RankAttested, "")

	if w.signIn(browser(nil), conform.RequestOptions{Subject: user}); w.lastDecision().Proof != (posture.Proof{}) {
		t.Errorf("no certificate: %+v", w.lastDecision())
	}
}

// TestAttestationResult: what hardware vouched for is told to the relying party
// that wants it, of the very key that was proved, and verifies with the key of the
// metadata.
func TestAttestationResult(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	certificate := w.certificate("mac-1", time.Hour)
	leaf := must(x509.ParseCertificate(certificate.Certificate[0]))(t)
	told := func(what string, want int) []contract.Attestation {
		t.Helper()
		in := w.signIn(browser(certificate), conform.RequestOptions{Subject: user})
		if !in.Managed || len(in.Attestations) != want {
			t.Fatalf("%s: %+v", what, in.Attestations)
		}
		return in.Attestations
	}
	attest := func(keyHash string, rank posture.Rank) {
		t.Helper()
		must(w.records.UpdateHardware(t.Context(), "mac-1", func(k *posture.KnownHardware) ([]posture.Certificate, error) {
			k.Device.NoteAttested(posture.AttestedKey{Format: "tpm", KeyHash: keyHash, At: w.now(), HardwareID: "an endorsement key"})
			k.Certificates[0].Rank = rank
			return k.Certificates, nil
		}))(t)
	}
	w.party.Attestation = true
	told("not attested", 0)
	attest("another key", posture.RankAttested)
	told("another key", 0)
	attest(certs.KeyHash(leaf), posture.RankSoftware)
	told("a certificate that is not attested", 0)
	attest(certs.KeyHash(leaf), posture.RankAttested)
	one := told("attested", 1)[0]
	jws := must(jose.ParseSignedCompact(one.Value, []jose.SignatureAlgorithm{jose.RS256}))(t)
	payload, err := jws.Verify(w.keyring.Signing().Certificate.PublicKey)
	if err != nil || one.Type != "tpm" || !strings.Contains(string(payload), `"sub":"mac-1"`) || !strings.Contains(string(payload), `"aud":"`+w.party.SAML.EntityID+`"`) {
		t.Errorf("%s, %v", payload, err)
	}
	w.provider.Forwarded = func(r *http.Request) ([]*x509.Certificate, bool, error) { return r.TLS.PeerCertificates, true, nil }
	told("behind a proxy", 0)
	if d := w.lastDecision(); d.Proof.Rank != posture.RankProxy {
		t.Errorf("behind a proxy: %+v", d.Proof)
	}
	w.provider.Forwarded = nil
	w.party.Attestation = false
	told("not wanted", 0)
}
