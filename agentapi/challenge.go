package agentapi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-json-experiment/json"
)

// ChallengePath is where the agent takes challenges on loopback: GET, the
// challenge in the parameter "request".
const ChallengePath = "/v1/challenge"

// AnswerPath is where on the device host the agent sends the browser back to: the
// answer in the fragment, as "answer", which no server sees and no log holds.
const AnswerPath = "/agent/v1/answer"

// ChallengeLife is how long a challenge may be answered.
const ChallengeLife = time.Minute

// How far clocks may be apart: that of a device and a server's, and those of two
// servers.
const (
	maxSkew    = 5 * time.Minute
	serverSkew = 5 * time.Second
)

// maxJWS bounds a challenge and an answer, in bytes.
const maxJWS = 16 << 10

// What the JWS are, so that nothing else that one of the keys signs passes for
// one (RFC 8725 section 3.11).
const (
	challengeType = "gatepost-challenge+jwt"
	answerType    = "gatepost-answer+jwt"
	agentAudience = "gatepost-agent"
)

// ErrChallenge is a challenge, or an answer to one, that is not to be believed.
var ErrChallenge = errors.New("not a good challenge or answer")

// Challenge asks the agent of whatever device the browser is on to prove which
// one that is. It is a JWT (RFC 7519), signed with ES256.
type Challenge struct {
	Issuer  string // who asks: the issuer's URL
	ID      string // of this challenge
	SignIn  string // the sign-in that waits for the answer
	Expires time.Time
}

type challengeClaims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	ID       string `json:"jti"`
	SignIn   string `json:"sign_in"`
	Expires  int64  `json:"exp"`
}

// Sign gives the challenge as a JWS in compact form (RFC 7515).
func (c *Challenge) Sign(key *ecdsa.PrivateKey) (string, error) {
	return sign(key, challengeType, nil, challengeClaims{c.Issuer, agentAudience, c.ID, c.SignIn, c.Expires.Unix()})
}

// ReadChallenge reads a challenge that the issuer signed with its key. An agent
// allows for a clock that goes otherwise than the server's; a server only for
// another server's that is ahead of its own. Errors are ErrChallenge.
func ReadChallenge(text string, key crypto.PublicKey, issuer string, now time.Time, skew bool) (*Challenge, error) {
	jws, err := parse(text, challengeType, jose.ES256)
	if err != nil {
		return nil, err
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, fmt.Errorf("%w: signature: %w", ErrChallenge, err)
	}
	claims, err := decode[challengeClaims](payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	allowed, ahead := time.Duration(0), serverSkew
	if skew {
		allowed, ahead = maxSkew, maxSkew
	}
	c := &Challenge{claims.Issuer, claims.ID, claims.SignIn, time.Unix(claims.Expires, 0)}
	switch left := c.Expires.Sub(now); {
	case c.Issuer != issuer || claims.Audience != agentAudience:
		return nil, fmt.Errorf("%w: from %.100q to %.100q", ErrChallenge, c.Issuer, claims.Audience)
	case c.ID == "" || c.SignIn == "":
		return nil, fmt.Errorf("%w: names no sign-in", ErrChallenge)
	case left <= -allowed || left > ChallengeLife+ahead:
		return nil, fmt.Errorf("%w: expires in %s", ErrChallenge, left)
	}
	return c, nil
}

// Answer is what an agent signed.
type Answer struct {
	Certificate *x509.Certificate // whose key signed; nobody has verified it
	Challenge   string            // the challenge, as it came; nobody has read it
}

type answerClaims struct {
	Audience  string `json:"aud"`
	Challenge string `json:"challenge"`
}

// SignAnswer answers the challenge of the issuer, as it came, with the key of the
// device's certificate: ECDSA P-256, or RSA.
func SignAnswer(challenge, issuer string, certificate *x509.Certificate, key crypto.Signer) (string, error) {
	x5c := []string{base64.StdEncoding.EncodeToString(certificate.Raw)}
	return sign(key, answerType, x5c, answerClaims{issuer, challenge})
}

// ReadAnswer reads an answer to the issuer, and verifies that the key of the
// certificate in it signed it, which is all that it tells. Errors are
// ErrChallenge.
func ReadAnswer(text, issuer string) (*Answer, error) {
	jws, err := parse(text, answerType, jose.ES256, jose.ES384, jose.RS256)
	if err != nil {
		return nil, err
	}
	certificate, err := leafOf(text)
	if err != nil {
		return nil, fmt.Errorf("%w: x5c: %w", ErrChallenge, err)
	}
	payload, err := jws.Verify(certificate.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: signature: %w", ErrChallenge, err)
	}
	claims, err := decode[answerClaims](payload)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrChallenge, err)
	case claims.Audience != issuer:
		return nil, fmt.Errorf("%w: to %.100q", ErrChallenge, claims.Audience)
	}
	return &Answer{certificate, claims.Challenge}, nil
}

// parse reads a JWS of the type, whose signature is still to be verified.
func parse(text, typ string, algorithms ...jose.SignatureAlgorithm) (*jose.JSONWebSignature, error) {
	if len(text) > maxJWS || strings.ContainsAny(text, " \t\r\n{") {
		return nil, fmt.Errorf("%w: no JWS in compact form of at most %d bytes", ErrChallenge, maxJWS)
	}
	jws, err := jose.ParseSignedCompact(text, algorithms)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	if said := jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType]; said != typ {
		return nil, fmt.Errorf("%w: of type %.60q, not %q", ErrChallenge, fmt.Sprint(said), typ)
	}
	return jws, nil
}

// leafOf is the one certificate in the header of the JWS (RFC 7515 section
// 4.1.6). go-jose hands it out only with a chain that it verified itself.
func leafOf(text string) (*x509.Certificate, error) {
	encoded, _, _ := strings.Cut(text, ".")
	header, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	var h struct {
		X5C [][]byte `json:"x5c"`
	}
	if err := json.Unmarshal(header, &h); err != nil {
		return nil, err
	}
	if len(h.X5C) != 1 {
		return nil, fmt.Errorf("%d certificates, not one", len(h.X5C))
	}
	certificate, err := x509.ParseCertificate(h.X5C[0])
	if err != nil {
		return nil, err
	}
	if key, ok := certificate.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > 4096 {
		return nil, fmt.Errorf("an RSA key of %d bits", key.N.BitLen())
	}
	return certificate, nil
}

// sign writes claims as a JWT.
func sign(key crypto.Signer, typ string, x5c []string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	algorithm := jose.ES256
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		algorithm = jose.RS256
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize == 384 {
			algorithm = jose.ES384
		}
	}
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	if x5c != nil {
		options.WithHeader("x5c", x5c)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: cryptosigner.Opaque(key)}, options)
	if err != nil {
		return "", fmt.Errorf("sign a %s: %w", typ, err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign a %s: %w", typ, err)
	}
	return jws.CompactSerialize()
}
