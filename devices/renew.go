package devices

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"

	"gatepost.dev/posture"
)

// RenewRecords keeps the certificates of devices.
type RenewRecords interface {
	IssueRecords
	Certificates(ctx context.Context, deviceID string) ([]posture.Certificate, error)
	// AddRenewal is AddCertificate with what goes with a renewal: also
	// posture.ErrExists for a transaction that there was.
	AddRenewal(ctx context.Context, c posture.Certificate, n posture.Renewal) error
}

// Renewer gives an agent its next certificate.
type Renewer struct {
	Issuer  *Issuer
	Records RenewRecords
}

// maxLive is how many certificates of one device's agents may be good at once:
// more than renewals that fail half way ever leave.
const maxLive = 8

// Renew makes a certificate for the new key, for the device that has proved to
// have it and an old one, and that asks by the channel. The old certificate goes on until it expires, since a
// browser that is open keeps it.
//
// Errors: ErrBadRequest, ErrTooMany, posture.ErrNoDevice, ErrRetired,
// ErrSuspected, ErrKeyInUse.
func (n *Renewer) Renew(ctx context.Context, deviceID string, key crypto.PublicKey, by posture.Channel) (*x509.Certificate, error) {
	return n.RenewWith(ctx, deviceID, key, by, posture.Renewal{})
}

// RenewWith is Renew with what goes with it; the certificate of the transaction is
// filled in. Also posture.ErrExists, if there was that transaction.
func (n *Renewer) RenewWith(ctx context.Context, deviceID string, key crypto.PublicKey, by posture.Channel, with posture.Renewal) (*x509.Certificate, error) {
	d, err := n.Records.Device(ctx, deviceID)
	if err != nil {
		return nil, err
	}
	switch {
	case d.Retired():
		return nil, fmt.Errorf("device %q: %w", d.ID, posture.ErrRetired)
	case d.Suspected != nil:
		return nil, fmt.Errorf("device %q: %w", d.ID, posture.ErrSuspected)
	}
	certificates, err := n.Records.Certificates(ctx, deviceID)
	if err != nil {
		return nil, err
	}
	live := 0
	for i := range certificates {
		if c := &certificates[i]; c.Agent && c.Live(n.Issuer.Now()) {
			live++
		}
	}
	if live >= maxLive {
		return nil, fmt.Errorf("%w: %d are good still", ErrTooMany, live)
	}
	cert, record, err := n.Issuer.make(d.ID, key, 0)
	if err != nil {
		return nil, err
	}
	record.Agent, record.Channel, record.Rank = true, by, posture.RankSoftware
	if with.Transaction != nil {
		kept := *with.Transaction
		kept.Certificate, with.Transaction = cert.Raw, &kept
	}
	if err := n.Records.AddRenewal(ctx, record, with); err != nil {
		return nil, fmt.Errorf("record certificate of device %q: %w", deviceID, err)
	}
	return cert, nil
}
