package devices

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"gatepost.dev/agentapi"
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

// Renewing is what a device renews with.
type Renewing struct {
	Key         crypto.PublicKey // that it proved to have
	Channel     posture.Channel
	Attested    *posture.AttestedKey // as in Applicant
	Uncertified bool
	Transaction *posture.Transaction // as in Applicant
	SameKey     bool                 // it may be that of another certificate of the device
}

// errNotBelieved is evidence that counts no more when the certificate is
// recorded.
var errNotBelieved = errors.New("the evidence does not count")

// Renew makes a certificate for a key, for the device that has proved to have it
// and an old one, and that asks by the channel. The old certificate goes on until
// it expires, since a browser that is open keeps it.
//
// A key for which hardware vouches is attested only if the inventory knows the
// device's TPM already, and it is that one: whoever copied a software key must not
// bring his own TPM. Else the certificate is ranked software, and why says why.
//
// Errors: ErrBadRequest, ErrTooMany, posture.ErrNoDevice, ErrRetired,
// ErrSuspected, ErrKeyInUse; ErrExists, if there was that transaction.
func (n *Renewer) Renew(ctx context.Context, deviceID string, r *Renewing) (cert *x509.Certificate, why agentapi.NotAttested, err error) {
	d, err := n.Records.Device(ctx, deviceID)
	if err != nil {
		return nil, "", err
	}
	if err := n.may(ctx, &d); err != nil {
		return nil, "", err
	}
	cert, record, err := n.Issuer.make(d.ID, r.Key, 0)
	if err != nil {
		return nil, "", err
	}
	record.Agent, record.Channel, record.Rank = true, r.Channel, posture.RankAttested
	with := posture.Renewal{SameKey: r.SameKey}
	if r.Transaction != nil {
		kept := *r.Transaction
		kept.Certificate, with.Transaction = cert.Raw, &kept
	}
	proved, why := only(r.Attested, r.Key)
	err = errNotBelieved
	if proved != nil {
		with.Note = func(d *posture.Device) (err error) {
			why, err = noteRenewed(d, proved, r.Uncertified)
			return err
		}
		err = n.Records.AddRenewal(ctx, record, with)
	}
	if errors.Is(err, errNotBelieved) {
		record.Rank, with.Note = posture.RankSoftware, nil
		err = n.Records.AddRenewal(ctx, record, with)
	}
	if err != nil {
		return nil, "", fmt.Errorf("record certificate of device %q: %w", deviceID, err)
	}
	return cert, why, nil
}

// noteRenewed notes the key at the device whose TPM it is; errNotBelieved, and why,
// if it is not that one.
func noteRenewed(d *posture.Device, proved *posture.AttestedKey, uncertified bool) (why agentapi.NotAttested, err error) {
	attested, why := believe(proved, uncertified, d)
	switch {
	case attested == nil:
	case d.EK == "":
		why = agentapi.UnknownEK
	case d.EK != ekOf(proved):
		why = agentapi.OtherEK
	default:
		d.NoteAttested(*attested)
		return "", nil
	}
	return why, errNotBelieved
}

// may tells why the device gets no further certificate.
func (n *Renewer) may(ctx context.Context, d *posture.Device) error {
	switch {
	case d.Retired():
		return fmt.Errorf("device %q: %w", d.ID, posture.ErrRetired)
	case d.Suspected != nil:
		return fmt.Errorf("device %q: %w", d.ID, posture.ErrSuspected)
	}
	certificates, err := n.Records.Certificates(ctx, d.ID)
	if err != nil {
		return err
	}
	live := 0
	for i := range certificates {
		if c := &certificates[i]; c.Agent && c.Live(n.Issuer.Now()) {
			live++
		}
	}
	if live >= maxLive {
		return fmt.Errorf("%w: %d are good still", ErrTooMany, live)
	}
	return nil
}
