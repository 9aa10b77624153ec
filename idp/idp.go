// Package idp is one sign-in: a request comes in, the device at the other end
// is recognised and judged, the decision is recorded, and a signed answer goes
// out. The protocols differ only at both ends of that.
//
// It keeps no state of its own and opens nothing: inventory, keys, relying
// parties and clock are handed in.
package idp

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/idp/oidc"
	"gatepost.dev/idp/saml"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// RelyingParty is an organisation that asks, with what was agreed for it.
type RelyingParty struct {
	Name   string
	Policy *posture.Policy // for every application that none of Applications is for
	// Applications have policies of their own; the first that matches counts.
	Applications []Application

	SAML    *saml.ServiceProvider // nil: it does not ask by SAML
	Scope   saml.Scope
	Encrypt *saml.EncryptionKey // nil: assertions travel in the clear

	OIDC *oidc.Client // nil: it does not ask by OpenID Connect

	// AssertUnmanaged answers that a device is not managed where the default is
	// to refuse.
	AssertUnmanaged bool
	// RefuseNoncompliant refuses a managed device that is not compliant where
	// the default is to answer that it is not.
	RefuseNoncompliant bool
	// ExplainNoncompliant shows the user of a managed device what is wrong with it
	// before it is answered that it is not compliant.
	ExplainNoncompliant bool
	// AgentChallenge asks the agent on the device who it is when the browser shows no
	// certificate.
	AgentChallenge bool
	// Attestation is whether SAML answers say what hardware vouched for.
	Attestation bool
	// BindOwner is what to make of a device that the user of the request does not
	// own.
	BindOwner posture.OwnerBinding
	// Shared are the IDs of the devices that nobody owns alone: BindOwner does not
	// apply to them.
	Shared map[string]bool
}

// Application is an application of the relying party with its own policy.
type Application struct {
	Names  posture.AppPolicy
	Policy *posture.Policy // that Names names
}

// PolicyFor is the policy that judges devices for the application.
func (rp *RelyingParty) PolicyFor(app posture.AppContext) *posture.Policy {
	for _, a := range rp.Applications {
		if a.Names.Is(app) {
			return a.Policy
		}
	}
	return rp.Policy
}

// RelyingParties finds a relying party by the entity ID of its requests, or
// returns posture.ErrNoRelyingParty.
type RelyingParties interface {
	ByEntityID(ctx context.Context, entityID string) (*RelyingParty, error)
}

// Clients finds a relying party by its client ID, or returns
// posture.ErrNoRelyingParty.
type Clients interface {
	ByClientID(ctx context.Context, clientID string) (*RelyingParty, error)
}

// Inventory is what is known of devices and of the certificates issued to them.
type Inventory interface {
	Device(ctx context.Context, id string) (posture.Device, error) // posture.ErrNoDevice
	DevicesBySerial(ctx context.Context, serial string) ([]posture.Device, error)
	Certificate(ctx context.Context, authority, serial string) (posture.Certificate, error) // posture.ErrNoCertificate
}

// Noter changes what is known of a device, durably: as store.Records has it.
type Noter interface {
	UpdateDevice(ctx context.Context, id string, change func(d *posture.Device, exists bool) error) (posture.Device, error)
}

// Recorder makes a decision durable and claims the request that it answers, in
// one step. It returns posture.ErrReplayed for a request that was claimed
// before; a claim holds at least until claimUntil.
type Recorder interface {
	Decide(ctx context.Context, d posture.Decision, claimUntil time.Time) error
}

// Verifier turns the certificates that a client presented into an identity, or
// says why not: certs.ErrNoCertificate, ErrExpired, ErrUntrusted, or, with the
// identity that was claimed, ErrRevoked and ErrRevocationUnknown.
type Verifier interface {
	Verify(chain []*x509.Certificate, now time.Time) (certs.Identity, error)
}

// recognised is who is at the other end of a connection, as far as we know.
type recognised struct {
	identity certs.Identity
	device   posture.Device // zero unless known
	known    bool
	proof    posture.Proof  // by which; its method is told from the start
	reason   posture.Reason // why the device cannot be judged; empty when it can
}

// recognise finds the one device whose certificate is at the other end. That a
// device is not known is a result; an error is a failure to find out.
// shown is what was proved to be at the other end, and how.
func recognise(ctx context.Context, v Verifier, inv Inventory, shown *shown, now time.Time) (recognised, error) {
	end := web.Step(ctx, "verify certificate")
	id, err := v.Verify(shown.chain, now)
	end(nil) // that it is not good is a result
	switch {
	case errors.Is(err, certs.ErrNoCertificate):
		return recognised{reason: posture.NoCertificate}, nil
	case errors.Is(err, certs.ErrExpired):
		return recognised{reason: posture.ExpiredCertificate}, nil
	case errors.Is(err, certs.ErrRevoked):
		return recognised{identity: id, reason: posture.RevokedCertificate}, nil
	case errors.Is(err, certs.ErrRevocationUnknown):
		return recognised{identity: id, reason: posture.RevocationUnknown}, nil
	case err != nil:
		return recognised{reason: posture.UnknownDevice}, nil
	}
	end = web.Step(ctx, "look up device")
	r, err := lookUp(ctx, inv, id)
	end(err)
	r.proof.Method = shown.method
	if shown.proxied {
		r.proof.Rank = posture.RankProxy
	}
	return r, err
}

// lookUp finds the one device in the inventory that the identity is of.
func lookUp(ctx context.Context, inv Inventory, id certs.Identity) (r recognised, err error) {
	r.identity = id
	r.proof.Rank = cmp.Or(posture.Rank(id.Rank), posture.RankSoftware)
	if id.BuiltIn {
		if r.proof.Rank, r.reason, err = issued(ctx, inv, id); r.reason != "" || err != nil {
			return r, err
		}
	}
	r.device, err = named(ctx, inv, &id)
	switch {
	case errors.Is(err, posture.ErrNoDevice):
		r.reason = posture.UnknownDevice
		return r, nil
	case err != nil:
		return r, fmt.Errorf("look up device %q: %w", cmp.Or(id.DeviceID, id.HardwareSerial), err)
	}
	r.known = true
	return r, nil
}

// named is the device that the identity names, or posture.ErrNoDevice. A serial
// number names one only if no other device in service has it.
func named(ctx context.Context, inv Inventory, id *certs.Identity) (posture.Device, error) {
	if id.DeviceID != "" {
		return inv.Device(ctx, id.DeviceID)
	}
	same, err := inv.DevicesBySerial(ctx, id.HardwareSerial)
	if err != nil {
		return posture.Device{}, err
	}
	inService := slices.DeleteFunc(slices.Clone(same), func(d posture.Device) bool { return d.Retired() })
	switch {
	case len(inService) == 1:
		return inService[0], nil
	case len(inService) == 0 && len(same) > 0:
		return same[0], nil // which is refused as what it is
	}
	return posture.Device{}, fmt.Errorf("%w: %d in service with the serial number %q", posture.ErrNoDevice, len(inService), id.HardwareSerial)
}

// issued checks a certificate of the built-in authority against what that
// authority recorded when it issued it: a signature alone is not enough, since
// what was issued may have been revoked, or be unknown to a restored inventory.
func issued(ctx context.Context, inv Inventory, id certs.Identity) (posture.Rank, posture.Reason, error) {
	c, err := inv.Certificate(ctx, id.Authority, id.Serial)
	switch {
	case errors.Is(err, posture.ErrNoCertificate):
		return "", posture.UnknownDevice, nil
	case err != nil:
		return "", "", fmt.Errorf("look up certificate %q: %w", id.Serial, err)
	}
	return c.RankOf(), c.Disproves(id.DeviceID, id.KeyHash), nil
}

// verdict judges whoever was recognised.
func (r *recognised) verdict(p *posture.Policy, app posture.AppContext, now time.Time) posture.Verdict {
	if r.reason != "" {
		return posture.Verdict{Reason: r.reason}
	}
	return posture.Judge(&posture.Input{Device: &r.device, Proof: &r.proof, App: app, Now: now}, p)
}
