package devices

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/posture"
)

// ErrBadToken is a token that cannot be made.
var ErrBadToken = errors.New("bad token")

// Lifetimes of a token.
const (
	DefaultTokenLifetime = 24 * time.Hour
	minTokenLifetime     = time.Minute
	maxTokenLifetime     = 30 * 24 * time.Hour
)

// tokenPrefix tells people, and scanners of leaked secrets, what it is.
const tokenPrefix = "gpe_"

// TokenRecords keeps tokens.
type TokenRecords interface {
	AddToken(ctx context.Context, t posture.Token) error
}

// Tokens makes tokens for enrolment.
type Tokens struct {
	Records TokenRecords
	Now     func() time.Time
}

// NewToken is what an administrator says of a token.
type NewToken struct {
	Lifetime time.Duration // 0: DefaultTokenLifetime
	Managed  bool          // whoever enrols with it is managed
	DeviceID string        // the device that it enrols, which need not exist
	Serial   string        // that the hardware must have
	Owner    string        // of the device from then on
	Note     string
}

// Create makes a token. Its secret, 130 random bits, is returned here and never
// again. Errors: ErrBadToken.
func (m *Tokens) Create(ctx context.Context, n NewToken) (secret string, t posture.Token, err error) {
	lifetime := cmp.Or(n.Lifetime, DefaultTokenLifetime)
	if lifetime < minTokenLifetime || lifetime > maxTokenLifetime {
		return "", t, fmt.Errorf("%w: lifetime %s; from %s to %s", ErrBadToken, lifetime, minTokenLifetime, maxTokenLifetime)
	}
	for _, text := range []struct{ name, value string }{{"serial", n.Serial}, {"owner", n.Owner}, {"note", n.Note}} {
		if problem := agentapi.CheckText(text.value); problem != "" {
			return "", t, fmt.Errorf("%w: %s: %s", ErrBadToken, text.name, problem)
		}
	}
	if n.DeviceID != "" {
		if problem := checkID(n.DeviceID); problem != "" {
			return "", t, fmt.Errorf("%w: device: %s", ErrBadToken, problem)
		}
	}
	if _, ok := posture.FoldSerial(n.Serial); n.Serial != "" && !ok {
		return "", t, fmt.Errorf("%w: serial: %s tells no machines apart", ErrBadToken, quote(n.Serial))
	}
	secret = tokenPrefix + strings.ToLower(rand.Text())
	now := m.Now()
	t = posture.Token{
		Hash: HashToken(secret), Managed: n.Managed, DeviceID: n.DeviceID, Serial: n.Serial, Owner: n.Owner, Note: n.Note,
		CreatedAt: now, ExpiresAt: now.Add(lifetime),
	}
	if err := m.Records.AddToken(ctx, t); err != nil {
		return "", t, err
	}
	return secret, t, nil
}
