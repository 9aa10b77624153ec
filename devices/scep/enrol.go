package scep

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"

	"gatepost.dev/agentapi"
	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// keptFor is how long an answer can be asked for again, and of the certificate's
// lifetime at most a quarter: who asks later wants another one.
const keptFor = 24 * time.Hour

// enrol issues what the message asks for, or gives again what was issued for it.
func (s *Server) enrol(ctx context.Context, m *message) (*x509.Certificate, error) {
	if m.kind != wire.PKCSReq && m.kind != wire.RenewalReq {
		return nil, refuse(wire.BadRequest, "message_type", "message type %q", printable(string(m.kind)))
	}
	if !canDecrypt(m.signer) {
		return nil, refuse(wire.BadAlg, "algorithm", "a signer with a key of type %T, to which no answer can be encrypted", m.signer.PublicKey)
	}
	if !s.Legacy && !strong(m.digest) {
		return nil, refuse(wire.BadAlg, "algorithm", "digest algorithm %v", m.digest)
	}
	asked, err := m.open(s.RA, s.Legacy)
	if err != nil {
		return nil, refuse(wire.BadMessageCheck, "envelope", "%w", err)
	}
	id, why := s.device(ctx, m.signer)
	if why != nil && refusalOf(why) == nil {
		return nil, why
	}
	t := s.transaction(m, asked, why == nil)
	kept, err := s.kept(ctx, t)
	if kept != nil || err != nil {
		return kept, err
	}
	issued, err := s.issue(ctx, m, asked, t, id, why)
	if err != nil && refusalOf(err) != nil {
		// The same message may have come by another connection and been first.
		if kept, again := s.kept(ctx, t); kept != nil || again != nil {
			return kept, again
		}
	}
	return issued, err
}

// strong tells whether no forgeries are known for the digest.
func strong(digest asn1.ObjectIdentifier) bool {
	return digest.Equal(pkcs7.OIDDigestAlgorithmSHA256) || digest.Equal(pkcs7.OIDDigestAlgorithmSHA384) || digest.Equal(pkcs7.OIDDigestAlgorithmSHA512)
}

// transaction is what the client calls by this transaction ID: with a certificate
// that it renews, another one each time, since both clients that this was tried with
// make the ID of a key that they renew.
func (s *Server) transaction(m *message, asked *request, renewal bool) *posture.Transaction {
	of := ""
	if renewal {
		of = certs.Serial(m.signer)
	}
	id := sha256.Sum256([]byte("scep " + of + " " + m.transaction))
	lifetime := keptFor
	if own := s.Enroller.Issuer.Lifetime; own > 0 {
		lifetime = min(lifetime, own/4)
	}
	return &posture.Transaction{ID: hex.EncodeToString(id[:]), Request: asked.digest(), Until: s.Now().Add(lifetime)}
}

// kept is the certificate that was issued in the transaction; nil: none was.
func (s *Server) kept(ctx context.Context, t *posture.Transaction) (*x509.Certificate, error) {
	was, err := s.Records.Transaction(ctx, t.ID)
	switch {
	case errors.Is(err, posture.ErrNoTransaction):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look up transaction: %w", err)
	case !s.Now().Before(was.Until):
		return nil, nil
	case was.Request != t.Request:
		return nil, refuse(wire.BadRequest, "transaction", "the transaction had another request")
	}
	issued, err := x509.ParseCertificate(was.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate of transaction %q: %w", was.ID, err)
	}
	web.Annotate(ctx, slog.Bool("again", true))
	return issued, nil
}

// issue decides by what who asks has proved. The current certificate of the device
// is worth a renewal, whichever of the two messages it signs (RFC 8894 section
// 3.3.1.2); else, which why says, it takes a challenge.
func (s *Server) issue(ctx context.Context, m *message, asked *request, t *posture.Transaction, id string, why error) (*x509.Certificate, error) {
	switch {
	case why == nil:
		web.Annotate(ctx, slog.String("device", id))
		// Both clients that this was tried with renew their key, and scepclient can do
		// no other.
		cert, _, err := s.Renewer.Renew(ctx, id, &devices.Renewing{Key: asked.key, Channel: posture.BySCEP, Transaction: t, SameKey: sameKey(m.signer, asked.key)})
		return cert, err
	case m.kind == wire.RenewalReq:
		return nil, why
	case !sameKey(m.signer, asked.key): // RFC 8894 section 2.3: self-signed then
		return nil, refuse(wire.BadRequest, "signer", "the message is signed by another key than the one that is asked for: %w", why)
	}
	a := s.applicant(asked)
	if problem := agentapi.CheckText(a.Claimed.Serial); problem != "" {
		return nil, refuse(wire.BadRequest, "serial", "serial number: %s", problem)
	}
	a.Transaction = t
	e, err := s.Enroller.Enroll(ctx, a)
	if err != nil {
		return nil, err
	}
	web.Annotate(ctx, slog.String("device", e.Device.ID), slog.String("token", e.Token), slog.String("state", string(e.State)))
	return e.Certificate, nil
}

// applicant is who asks with a challenge. Of the request's subject the hardware's
// serial number is taken, if it is there; the common name, which may be anything,
// only if the challenge tells nothing.
func (s *Server) applicant(asked *request) *devices.Applicant {
	a := &devices.Applicant{
		Token: asked.challenge, Channel: posture.BySCEP, Profile: s.static(asked.challenge),
		Claimed: agentapi.Device{Serial: strings.TrimSpace(asked.csr.Subject.SerialNumber)},
		Key:     func() (crypto.PublicKey, error) { return asked.key, nil },
	}
	if a.Profile && a.Claimed.Serial == "" {
		a.Claimed.Serial = strings.TrimSpace(asked.csr.Subject.CommonName)
	}
	return a
}

// static tells whether the challenge is one that many devices share. The time it
// takes says nothing of how much of it is right.
func (s *Server) static(challenge string) bool {
	given, same := sha256.Sum256([]byte(challenge)), 0
	for _, secret := range s.Static {
		want := sha256.Sum256([]byte(secret))
		same |= subtle.ConstantTimeCompare(given[:], want[:])
	}
	return same == 1
}

// device is whose current certificate it is that came by SCEP. A refusal says why
// it is none.
func (s *Server) device(ctx context.Context, signer *x509.Certificate) (id string, err error) {
	now := s.Now()
	identity, err := s.Verifier.Verify([]*x509.Certificate{signer}, now)
	if err == nil && !identity.BuiltIn {
		err = errors.New("certificate of an authority that is not ours")
	}
	if err != nil {
		return "", refuse(wire.BadRequest, "signer", "%w", err)
	}
	issued, err := s.Records.Certificate(ctx, identity.Authority, identity.Serial)
	switch {
	case errors.Is(err, posture.ErrNoCertificate):
		return "", refuse(wire.BadRequest, "signer", "%w", err)
	case err != nil:
		return "", fmt.Errorf("look up certificate %q: %w", identity.Serial, err)
	}
	switch why := issued.Disproves(identity.DeviceID, identity.KeyHash); {
	case why != "":
		return "", refuse(wire.BadRequest, "signer", "certificate %q: %s", identity.Serial, why)
	case !issued.Live(now):
		return "", refuse(wire.BadRequest, "signer", "certificate %q is not valid now", identity.Serial)
	case issued.Channel != posture.BySCEP:
		// Else one that was made elsewhere and copied would become one that was not.
		return "", refuse(wire.BadRequest, "signer", "certificate %q did not come by SCEP", identity.Serial)
	}
	return identity.DeviceID, nil
}
