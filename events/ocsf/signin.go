package ocsf

import (
	"strings"

	"gatepost.dev/posture"
)

// profileControl is the profile of what allows and denies by a policy.
const profileControl = "security_control"

// signIn is a sign-in that was answered, as Authentication.
func (w *writer) signIn(d *posture.Decision) {
	if d == nil {
		d = w.decisionOf()
	}
	w.classify(authentication, label{1, "Logon"})
	w.outcome(d)
	w.related = d.ID
	w.StatusCode, w.StatusDetail = w.text(string(d.Reason)), w.text(because(d.Reason))
	u := w.user(d.Subject)
	w.User = &u
	w.Service = &entity{Name: w.or(d.RelyingParty, "unknown")}
	w.Source = w.endpoint(d.RemoteAddr)
	w.Remote = true
	if d.Protocol != "" {
		protocol := w.protocol(d.Protocol)
		w.AuthProtocolID, w.AuthProtocol = protocol.id, protocol.name
	}
	w.hostDevice(w.judged(d))
	w.certified(d)
	if d.Policy != "" {
		w.Policy = &entity{Name: w.text(d.Policy)}
	}
	w.Message = w.summary(d)
	w.unmappedDecision(d)
}

// decisionOf is what the event alone says of its decision.
func (w *writer) decisionOf() *posture.Decision {
	e := w.event
	d := &posture.Decision{ID: e.Decision, DeviceID: e.DeviceID, Failures: e.Failures}
	if e.Kind == posture.SignInRefused {
		d.Outcome, d.Reason = posture.Refused, posture.Reason(e.Why)
	}
	return d
}

// outcome is an allowed or a denied access, which the security control profile
// says in words that detections are written for.
func (w *writer) outcome(d *posture.Decision) {
	w.profiles = append(w.profiles, profileControl)
	switch d.Outcome {
	case posture.Asserted:
		w.Status = success
		w.ActionID, w.Action = 1, "Allowed"
		w.DispositionID, w.Disposition = 1, "Allowed"
	case posture.Refused:
		w.Status, w.Severity, w.Alert = failure, medium, true
		w.ActionID, w.Action = 2, "Denied"
		w.DispositionID, w.Disposition = 2, "Blocked"
	case "":
		w.Status = statusUnknown
	default:
		w.Status = label{other, w.text(string(d.Outcome))}
	}
}

func (w *writer) protocol(p string) label {
	switch p {
	case "saml":
		return label{5, "SAML"}
	case "oidc":
		return label{4, "OpenID"}
	}
	return label{other, w.text(p)}
}

// judged is the device with its verdict; nil: none was recognised.
func (w *writer) judged(d *posture.Decision) *device {
	if d.DeviceID == "" {
		return nil
	}
	known := &device{UID: w.text(d.DeviceID), TypeID: unknown.id, Type: unknown.name}
	if d.DeviceID == w.event.DeviceID {
		known = w.device()
	}
	if d.Outcome != "" { // else there is no verdict
		known.Managed, known.Compliant = &d.Managed, &d.Compliant
	}
	return known
}

// certified is the client certificate, of which the schema demands both parts.
func (w *writer) certified(d *posture.Decision) {
	if d.Authority != "" && d.Certificate != "" {
		w.Certificate = &certificate{Issuer: w.text(d.Authority), Serial: w.text(d.Certificate)}
		return
	}
	w.keep("certificate_authority", d.Authority)
	w.keep("certificate_serial", d.Certificate)
}

func (w *writer) summary(d *posture.Decision) string {
	words := []string{"Sign-in"}
	for _, part := range []struct{ before, value string }{
		{"of ", d.Subject}, {"to ", d.RelyingParty}, {"with device ", d.DeviceID},
	} {
		if part.value != "" {
			words = append(words, part.before+w.text(part.value))
		}
	}
	return w.join(": ", strings.Join(words, " "), string(d.Outcome), because(d.Reason))
}

func (w *writer) unmappedDecision(d *posture.Decision) {
	w.keep("request_id", d.RequestID)
	w.keep("answer_id", d.AnswerID)
	w.keep("answer_status", d.Status)
	w.keep("proof_method", string(d.Proof.Method))
	w.keep("proof_rank", string(d.Proof.Rank))
	if d.Outcome != "" {
		w.rest["managed"], w.rest["compliant"] = d.Managed, d.Compliant
	}
	if d.App != (posture.AppContext{}) {
		w.rest["application"] = map[string]any{"instance_id": w.text(d.App.InstanceID), "name": w.text(d.App.Name)}
	}
	var warnings []string
	for _, warning := range d.Warnings {
		warnings = append(warnings, string(warning))
	}
	if list := w.texts(warnings); len(list) > 0 {
		w.rest["warnings"] = list
	}
	w.keepFailures("failures", d.Failures)
	if q := d.Quarantine; q != nil {
		kept := map[string]any{"at": w.when(q.At), "by": w.text(q.By), "why": w.text(q.Why)}
		if !q.Until.IsZero() {
			kept["until"] = w.when(q.Until)
		}
		w.rest["quarantine"] = kept
	}
	if s := d.Shadow; s != nil {
		kept := map[string]any{"policy": w.text(s.Policy), "managed": s.Managed, "compliant": s.Compliant}
		if s.Reason != "" {
			kept["reason"] = w.text(string(s.Reason))
		}
		if list := w.failures(s.Failures); len(list) > 0 {
			kept["failures"] = list
		}
		w.rest["shadow"] = kept
	}
	w.keep("why", w.event.Why)
	w.keep("by", w.event.By)
	w.keepRaw("detail", w.event.Detail)
}

// because says a reason to people; one that is not the domain's is its own word.
func because(r posture.Reason) string {
	switch r {
	case posture.NoCertificate:
		return "The browser showed no device certificate."
	case posture.UnknownDevice:
		return "The certificate is of no known device."
	case posture.RevokedCertificate:
		return "The certificate was revoked, or the device retired."
	case posture.RevocationUnknown:
		return "Whether the certificate was revoked could not be found out."
	case posture.ExpiredCertificate:
		return "The certificate has expired."
	case posture.CloneSuspected:
		return "There may be two of the device."
	case posture.NotManaged:
		return "No trusted source says that the device is managed."
	case posture.Stale:
		return "The last word that the device is managed is too old."
	case posture.OwnerMismatch:
		return "The device is not the user's own."
	case posture.NotCompliant:
		return "The device does not meet its policy."
	case posture.Quarantined:
		return "The device is in quarantine."
	case posture.WeakProof:
		return "The policy demands a proof of the device that is harder to copy."
	case posture.NoSubject:
		return "Nobody is known whom the answer could be about."
	}
	return string(r)
}
