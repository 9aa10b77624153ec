package idp

import (
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/posture"
)

// refusing is a Verifier that proved an identity and turns it away.
type refusing struct{ err error }

func (r refusing) Verify([]*x509.Certificate, time.Time) (certs.Identity, error) {
	return certs.Identity{DeviceID: "mac-1", Authority: "aa", Serial: "bb"}, r.err
}

// What an authority says, or does not say, is a reason of its own, and the
// decision can name the certificate; the inventory is not even asked.
func TestRecogniseRevoked(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		err  error
		want posture.Reason
	}{
		{certs.ErrRevoked, posture.RevokedCertificate},
		{certs.ErrRevocationUnknown, posture.RevocationUnknown},
	} {
		who, err := recognise(t.Context(), refusing{fmt.Errorf("list: %w", v.err)}, nil, &shown{}, time.Time{})
		if err != nil || who.known || who.reason != v.want || who.identity.Serial != "bb" {
			t.Errorf("%v makes %+v, error %v", v.err, who, err)
		}
		verdict := who.verdict(&posture.Policy{}, posture.AppContext{}, time.Time{})
		if verdict.Managed || verdict.Compliant || verdict.Reason != v.want {
			t.Errorf("%v is judged %+v", v.err, verdict)
		}
	}
}
