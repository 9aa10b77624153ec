package devices

import (
	"cmp"
	"crypto/x509"
	"time"

	"gatepost.dev/posture"
)

// anyLive tells whether a key that enrolled is at work with one of the
// certificates.
func anyLive(certificates []posture.Certificate, now time.Time) bool {
	for i := range certificates {
		if c := &certificates[i]; c.Agent && c.Live(now) {
			return true
		}
	}
	return false
}

// superseded is why a certificate no longer counts when its device has enrolled
// anew.
const superseded = "enrolled anew"

// formerCertificates are the certificates that came by the same channel and still
// count, and those that are held, as revoked ones.
func formerCertificates(certificates []posture.Certificate, by posture.Channel, now time.Time) []posture.Certificate {
	var revoked []posture.Certificate
	for _, c := range certificates {
		if c.Agent && !c.Revoked() && now.Before(c.NotAfter) && (c.Held || channelOf(&c) == by) {
			c.RevokedAt, c.RevokeReason = now, superseded
			revoked = append(revoked, c)
		}
	}
	return revoked
}

// channelOf is the channel of a certificate that was enrolled for: before there
// were channels it was the agent's.
func channelOf(c *posture.Certificate) posture.Channel { return cmp.Or(c.Channel, posture.ByAgent) }

// renewAt is when an agent should renew its certificate: with a third of its
// time left.
func renewAt(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) * 2 / 3)
}
