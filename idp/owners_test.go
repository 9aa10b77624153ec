package idp_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost.dev/conform"
	"gatepost.dev/posture"
)

// ownersWorld is a provider with a device of owner@example.com and one of
// nobody, and a browser on each.
func ownersWorld(t *testing.T, binding posture.OwnerBinding) (w *world, own, nobodys *http.Client) {
	t.Helper()
	w, own = newOIDCWorld(t, func(w *world) {
		w.party.BindOwner = binding
		w.party.Shared = map[string]bool{"kiosk": true}
	})
	for _, id := range []string{"nobodys", "kiosk"} {
		must(w.records.UpdateDevice(t.Context(), id, func(d *posture.Device, _ bool) error {
			d.Apply(&posture.Report{DeviceID: id, Facts: managed}, posture.Source{Name: "import", Kind: posture.Import}, w.now())
			return nil
		}))(t)
	}
	return w, own, browser(w.certificate("nobodys", time.Hour))
}

// TestOwnerBindings: both protocols answer for a device by its owner as the
// relying party wants it, and the decision and the log tell.
func TestOwnerBindings(t *testing.T) {
	t.Parallel()
	const owner, other = "OWNER@example.com", "al@example.com"
	mismatch := []posture.Reason{posture.OwnerMismatch}
	for binding, want := range map[posture.OwnerBinding]struct {
		refused  bool
		warnings []posture.Reason
	}{
		"": {}, posture.BindOff: {}, posture.BindWarn: {warnings: mismatch}, posture.BindEnforce: {refused: true},
	} {
		t.Run("bind_owner "+string(binding), func(t *testing.T) {
			t.Parallel()
			w, own, nobodys := ownersWorld(t, binding)
			shared := browser(w.certificate("kiosk", time.Hour))
			signIn := map[string]func(client *http.Client, user string) (ok bool, said string){
				"saml": func(client *http.Client, user string) (bool, string) {
					in := w.signIn(client, conform.RequestOptions{Subject: user})
					if in.OK() && (!in.Managed || !in.Compliant || in.Subject != user) {
						t.Errorf("answer by SAML: %+v", in)
					}
					return in.OK(), in.StatusMessage + in.StatusDetail
				},
				"oidc": func(client *http.Client, user string) (bool, string) {
					got := w.authorize(client, ask("login_hint", user))
					return got.fields.Has("code"), got.fields.Get("error_description")
				},
			}
			check := func(what string, client *http.Client, user string, refused bool, warnings []posture.Reason) {
				t.Helper()
				for protocol, do := range signIn {
					logged := len(w.logged.String())
					ok, said := do(client, user)
					d := w.lastDecision()
					reason := posture.Reason("")
					if refused {
						reason = posture.OwnerMismatch
					}
					if ok == refused || strings.Contains(said, "DEVICE_NOT_MANAGED") != refused {
						t.Errorf("%s by %s: answered %t, %q", what, protocol, ok, said)
					}
					if d.Protocol != protocol || d.Subject != user || d.Managed == refused || d.Compliant == refused || d.Reason != reason || !reflect.DeepEqual(d.Warnings, warnings) {
						t.Errorf("%s by %s: decision %+v", what, protocol, d)
					}
					record := w.logged.after(logged, `"reference":"`+d.ID)
					if warned := strings.Contains(record, `"warnings":["owner_mismatch"]`); warned != (warnings != nil) {
						t.Errorf("%s by %s: log record %s", what, protocol, record)
					}
				}
			}
			check("the owner", own, owner, false, nil)
			check("somebody else", own, other, want.refused, want.warnings)
			check("device of nobody", nobodys, other, want.refused, want.warnings)
			check("shared device", shared, other, false, nil)
		})
	}
}

// TestWarningIsNotTold: what goes back is the answer of a match, letter for
// letter but for what every answer has of its own.
func TestWarningIsNotTold(t *testing.T) {
	t.Parallel()
	w, client, _ := ownersWorld(t, posture.BindWarn)
	p := w.send(client, must(w.okta.Request(conform.RequestOptions{Subject: "al@example.com"}))(t))
	in := must(w.okta.Receive(p.response, p.relay))(t)
	if !in.OK() || in.StatusMessage != "" || in.StatusDetail != "" || in.Subject != "al@example.com" || strings.Contains(p.body+p.response, "owner") {
		t.Errorf("by SAML: %+v\n%s", in, p.body)
	}
	tok := w.tokens(w.redeem(w.code(client, "login_hint", "al@example.com")))
	if want := map[string]any{"managed": true, "compliant": true, "externalId": "mac-1"}; tok.claims["sub"] != "al@example.com" || !reflect.DeepEqual(tok.claims["device_context"], want) {
		t.Errorf("by OpenID Connect: %v", tok.claims)
	}
}

// TestWarningWithoutAUser: with nobody to answer about there is a refusal all
// the same, and a device that is not managed is no matter of owners.
func TestWarningWithoutAUser(t *testing.T) {
	t.Parallel()
	w, _, nobodys := ownersWorld(t, posture.BindWarn)
	if in := w.signIn(nobodys, conform.RequestOptions{}); in.OK() || in.StatusMessage != "NO_SUBJECT" {
		t.Errorf("device of nobody, nobody named: %+v", in)
	}
	if d := w.lastDecision(); d.Reason != posture.NoSubject || !reflect.DeepEqual(d.Warnings, []posture.Reason{posture.OwnerMismatch}) {
		t.Errorf("decision %+v", d)
	}
	if in := w.signIn(browser(nil), conform.RequestOptions{Subject: user}); in.OK() || in.StatusDetail != string(posture.NoCertificate) {
		t.Errorf("no certificate: %+v", in)
	}
	if d := w.lastDecision(); d.Reason != posture.NoCertificate || d.Warnings != nil {
		t.Errorf("decision %+v", d)
	}
}

// TestSharedMustBeManaged: being shared takes away the question of the owner and
// no other.
func TestSharedMustBeManaged(t *testing.T) {
	t.Parallel()
	w, _, _ := ownersWorld(t, posture.BindEnforce)
	client := browser(w.certificate("kiosk", time.Hour))
	w.device("kiosk", map[string]string{posture.FactManaged: "false"})
	if in := w.signIn(client, conform.RequestOptions{Subject: user}); in.OK() || in.StatusDetail != string(posture.NotManaged) {
		t.Errorf("not managed: %+v", in)
	}
	must(w.records.RetireDevice(t.Context(), "kiosk", "lost", w.now()))(t)
	if in := w.signIn(client, conform.RequestOptions{Subject: user}); in.OK() || in.StatusDetail != string(posture.RevokedCertificate) {
		t.Errorf("retired: %+v", in)
	}
}
