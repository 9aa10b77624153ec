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
	// AddCertificateNoting is AddCertificate that changes the device in the same
	// commit.
	AddCertificateNoting(ctx context.Context, c posture.Certificate, note func(d *posture.Device) error) error
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
}

// Renew makes a certificate for a new key, for the device that has proved to
// have it and an old one, and that asks by the channel. The old certificate goes
// on until it expires, since a browser that is open keeps it.
//
// Errors: ErrBadRequest, ErrTooMany, posture.ErrNoDevice, ErrRetired,
// ErrSuspected, ErrKeyInUse.
func (n *Renewer) Renew(ctx context.Context, deviceID string, key crypto.PublicKey, by posture.Channel) (*x509.Certificate, error) {
	cert, _, err := n.RenewProved(ctx, deviceID, &Renewing{Key: key, Channel: by})
	return cert, err
}

// errNotBelieved is evidence that counts no more when the certificate is
// recorded.
var errNotBelieved = errors.New("the evidence does not count")

// RenewProved is Renew of a key for which hardware may vouch. It is attested only
// if the inventory knows the device's TPM already, and it is that one: whoever
// copied a software key must not bring his own TPM. Else the certificate is
// ranked software, and why says why.
func (n *Renewer) RenewProved(ctx context.Context, deviceID string, r *Renewing) (cert *x509.Certificate, why agentapi.NotAttested, err error) {
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
	proved, why := only(r.Attested, r.Key)
	err = errNotBelieved
	if proved != nil {
		err = n.Records.AddCertificateNoting(ctx, record, func(d *posture.Device) error {
			var attested *posture.AttestedKey
			if attested, why = believe(proved, r.Uncertified, d); attested == nil {
				return errNotBelieved
			}
			switch d.EK {
			case ekOf(proved):
			case "":
				why = agentapi.UnknownEK
				return errNotBelieved
			default:
				why = agentapi.OtherEK
				return errNotBelieved
			}
			d.NoteAttested(*attested)
			return nil
		})
	}
	if errors.Is(err, errNotBelieved) {
		record.Rank = posture.RankSoftware
		err = n.Records.AddCertificate(ctx, record)
	}
	if err != nil {
		return nil, "", fmt.Errorf("record certificate of device %q: %w", deviceID, err)
	}
	return cert, why, nil
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
