package devices

import (
	"crypto"
	"fmt"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/devices/attestation/tpm"
	"gatepost.dev/posture"
)

// ErrOtherTPM is a TPM that the inventory knows as another device's.
var ErrOtherTPM = fmt.Errorf("%w: the TPM is known as another device's", ErrOtherDevice)

// only drops what is proved of another key than the one that gets a certificate.
func only(proved *posture.AttestedKey, key crypto.PublicKey) (*posture.AttestedKey, agentapi.NotAttested) {
	if proved != nil && proved.KeyHash != tpm.KeyHash(key) {
		return nil, agentapi.BadEvidence
	}
	return proved, ""
}

// ekOf is the hash of the endorsement key of the TPM that has the key; empty: none
// is known.
func ekOf(proved *posture.AttestedKey) string {
	if proved == nil || proved.Format != tpm.Format {
		return ""
	}
	return proved.HardwareID
}

// believe tells which key is attested when the device, which may be new, asks
// with what it proved; nil: none, and why, if it proved anything.
func believe(proved *posture.AttestedKey, uncertified bool, d *posture.Device) (*posture.AttestedKey, agentapi.NotAttested) {
	if proved == nil {
		return nil, ""
	}
	key, pinned := *proved, proved.Format == tpm.Format && d.EKPinnedBy != ""
	switch {
	case pinned && d.EK != key.HardwareID:
		return nil, agentapi.OtherEK // his word stands until he takes it back
	case uncertified && !pinned:
		return nil, agentapi.UnknownEK
	case uncertified:
		key.Pinned = true
	}
	return &key, ""
}

// noteHardware records what the applicant proved of the device's hardware. Of a
// certificate that is held nothing is sure.
func noteHardware(d *posture.Device, proved, attested *posture.AttestedKey, held bool) {
	if attested != nil {
		d.NoteAttested(*attested)
	}
	switch ek := ekOf(proved); {
	case held || ek == "":
	case attested != nil:
		d.EK, d.EKClaimed = ek, ""
	case d.EK != ek:
		d.EKClaimed = ek
	}
}

// byTPM is the device whose TPM asks, if the applicant's word on it counts; nil:
// none is known. A token that is bound must not name another.
func byTPM(n *posture.Enrolling, a *Applicant) (*posture.KnownHardware, error) {
	k := n.ByEK
	if k == nil || ekOf(a.Attested) == "" || a.Uncertified && k.Device.EKPinnedBy == "" {
		return nil, nil
	}
	t, d := &n.Token, &k.Device
	switch {
	case t.DeviceID != "" && t.DeviceID != d.ID:
		return nil, fmt.Errorf("%w, %q", ErrOtherTPM, d.ID)
	case t.Serial != "" && !sameSerial(t.Serial, d.Serial):
		return nil, fmt.Errorf("%w, %q", ErrOtherTPM, d.ID)
	case d.Retired():
		return nil, fmt.Errorf("device %q: %w", d.ID, posture.ErrRetired)
	case d.Suspected != nil && !t.Bound():
		return nil, fmt.Errorf("device %q: %w", d.ID, posture.ErrSuspected)
	}
	return k, nil
}

// contested tells whether an administrator has to decide between the key that
// asks and the device's: its own word found it, and another key is at work, or
// its TPM is another one.
func contested(k *posture.KnownHardware, proved *posture.AttestedKey, now time.Time) bool {
	if anyLive(k.Certificates, now) {
		return true
	}
	return k.Device.EK != "" && ekOf(proved) != k.Device.EK
}
