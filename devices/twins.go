package devices

import (
	"fmt"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/posture"
)

// twins are the other devices in service for which a key that enrolled is at work
// with the serial number that is claimed now, of one maker. There is one such
// machine at the most: each of them, and the one that enrols, is suspected, and an
// administrator decides.
func twins(n *posture.Enrolling, d *posture.Device, claimed *agentapi.Device, now time.Time) []posture.Device {
	if _, ok := posture.FoldSerial(claimed.Serial); !ok {
		return nil
	}
	var found []posture.Device
	for i := range n.Known {
		k := &n.Known[i]
		if k.Device.ID == d.ID || k.Device.Retired() || !sameSerial(k.Device.Serial, claimed.Serial) ||
			!posture.SameVendor(k.Device.Vendor, claimed.Vendor) || !anyLive(k.Certificates, now) {
			continue
		}
		twin := k.Device
		suspect(&twin, d.ID, now)
		suspect(d, twin.ID, now)
		found = append(found, twin)
	}
	return found
}

// suspect marks the device, unless it is suspected already.
func suspect(d *posture.Device, other string, now time.Time) {
	if d.Suspected == nil {
		d.Suspected = &posture.Suspicion{At: now, Why: fmt.Sprintf("device %q has a live key for the same serial number", other)}
		d.UpdatedAt = now
	}
}
