package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// How long what is handed out is good for.
const (
	CodeLifetime    = 60 * time.Second
	TokenLifetime   = 5 * time.Minute
	IDTokenLifetime = 5 * time.Minute
)

// GrantState is what became of a grant.
type GrantState string

// The states of a grant, in the order in which it can take them.
const (
	Issued   GrantState = "issued"   // its code was handed out
	Redeemed GrantState = "redeemed" // its code was used: there is an access token
	Revoked  GrantState = "revoked"  // its code was used twice: nothing of it is good any more
)

// Grant is the verdict taken at the authorization endpoint, as the token and
// UserInfo endpoints answer with it: bound to its client, redirect URI and PKCE
// challenge. Of code and access token it holds hashes alone.
type Grant struct {
	ID            string   `json:"id"` // as in posture.Grant
	ClientID      string   `json:"client"`
	RedirectURI   string   `json:"redirect_uri"`
	CodeChallenge string   `json:"challenge,omitempty"` // S256; empty: none
	Nonce         string   `json:"nonce,omitempty"`
	Scopes        []string `json:"scopes"` // those of the request that are supported

	IDTokenClaims  []string    `json:"id_token_claims,omitempty"` // optional claims that the ID token carries
	UserInfoClaims []string    `json:"userinfo_claims,omitempty"` // the same for the UserInfo endpoint
	App            []Parameter `json:"app,omitempty"`             // as in Authorization

	// What the caller fills in.
	Subject  string        `json:"sub"`  // SubjectOf(User)
	User     string        `json:"user"` // as named, by the request or as the device's owner
	AMR      []string      `json:"amr,omitempty"`
	AuthTime time.Time     `json:"auth_time,format:unixnano"` // when the device proved its key
	Device   DeviceContext `json:"device"`

	State      GrantState `json:"state"`
	CodeHash   string     `json:"code"` // lower-case hex SHA-256
	CodeUntil  time.Time  `json:"code_until,format:unixnano"`
	TokenHash  string     `json:"token,omitempty"` // lower-case hex SHA-256
	TokenUntil time.Time  `json:"token_until,omitzero,format:unixnano"`
}

const idSize = 16 // bytes of a grant's ID, and of the secret behind it in a code or token

// NewGrant makes the grant that answers a, and its code. It is issued at now,
// which is the AuthTime too unless the caller knows better; user, device and AMR
// are the caller's to fill in.
func NewGrant(a *Authorization, now time.Time) (*Grant, string) {
	g := &Grant{
		ClientID:       a.Client.ID,
		RedirectURI:    a.RedirectURI,
		CodeChallenge:  a.CodeChallenge,
		Nonce:          a.Nonce,
		IDTokenClaims:  optionalClaims(a.Scopes, a.Claims.IDToken),
		UserInfoClaims: optionalClaims(a.Scopes, a.Claims.UserInfo),
		App:            a.App,
		AuthTime:       now,
		State:          Issued,
		CodeUntil:      now.Add(CodeLifetime),
	}
	for _, scope := range supportedScopes() {
		if slices.Contains(a.Scopes, scope) {
			g.Scopes = append(g.Scopes, scope)
		}
	}
	var random [idSize - 4]byte
	rand.Read(random[:])
	g.ID = fmt.Sprintf("%08x%x", uint32(g.Until().Unix()), random)
	code := g.newSecret()
	g.CodeHash = hash(code)
	return g, code
}

// Until is when the grant may be forgotten: no code and no token of it is good
// any more. It is a whole second.
func (g *Grant) Until() time.Time {
	return g.CodeUntil.Add(TokenLifetime + time.Second - 1).Truncate(time.Second)
}

// newSecret makes a code or an access token: the grant's ID, by which it is
// found, and 128 random bits.
func (g *Grant) newSecret() string {
	b := make([]byte, 2*idSize)
	hex.Decode(b, []byte(g.ID)) // DecodeGrant and NewGrant made sure that it is hex of that size
	rand.Read(b[idSize:])
	return base64.RawURLEncoding.EncodeToString(b)
}

func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// matches tells whether secret is what was hashed, in constant time.
func matches(secret, hashed string) bool {
	return subtle.ConstantTimeCompare([]byte(hash(secret)), []byte(hashed)) == 1
}

// GrantID is the ID of the grant that a code or an access token belongs to. It
// says nothing of whether it is good.
func GrantID(codeOrToken string) (id string, ok bool) {
	// The decoder passes over line breaks, so the length is no other check.
	if len(codeOrToken) != base64.RawURLEncoding.EncodedLen(2*idSize) {
		return "", false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(codeOrToken)
	if err != nil || len(b) != 2*idSize {
		return "", false
	}
	return hex.EncodeToString(b[:idSize]), true
}

// Encode writes the grant as JSON, for posture.Grant.
func (g *Grant) Encode() []byte {
	// Requests are UTF-8, and Check refuses a user who is not: what is replaced
	// here was lost before.
	value, err := json.Marshal(g, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		// Strings, and times of a clock: nothing is left that can fail.
		panic(fmt.Sprintf("encode grant %q: %v", g.ID, err))
	}
	return value
}

// DecodeGrant reads what Encode wrote.
func DecodeGrant(value []byte) (*Grant, error) {
	g := new(Grant)
	if err := json.Unmarshal(value, g); err != nil {
		return nil, fmt.Errorf("decode grant: %w", err)
	}
	switch {
	case !isHex(g.ID, 2*idSize):
		return nil, fmt.Errorf("decode grant: ID %q is not %d hexadecimal digits", g.ID, 2*idSize)
	case g.State != Issued && g.State != Redeemed && g.State != Revoked:
		return nil, fmt.Errorf("decode grant %q: unknown state %q", g.ID, g.State)
	case !isHex(g.CodeHash, 2*sha256.Size):
		return nil, fmt.Errorf("decode grant %q: no hash of a code", g.ID)
	case g.State == Redeemed && !isHex(g.TokenHash, 2*sha256.Size):
		return nil, fmt.Errorf("decode grant %q: redeemed without the hash of a token", g.ID)
	}
	if seconds, err := strconv.ParseInt(g.ID[:8], 16, 64); err != nil || seconds != g.Until().Unix() {
		return nil, fmt.Errorf("decode grant %q: the ID is not of its time", g.ID)
	}
	return g, nil
}

// Redeem exchanges the code for an access token (RFC 6749 section 4.1.3; OpenID
// Connect core 3.1.3.2). Whoever asks is authenticated as clientID before.
//
// It changes g and nothing else, so that it can be called again on a grant read
// anew; changed tells whether g must be stored, before the error is returned. A
// code that comes from somebody else, or with another redirect URI or verifier,
// is refused and stays good for its client: nobody burns it by guessing (RFC 6749
// section 10.5). A second use that is right in all of these, even a late one,
// means that the code is known to two, and revokes what was given for it (RFC
// 6749 section 4.1.2). All errors are *Error with InvalidGrant.
func (g *Grant) Redeem(code, clientID, redirectURI, verifier string, now time.Time) (accessToken string, changed bool, err error) {
	switch {
	case !matches(code, g.CodeHash):
		return "", false, badCode("code_unknown", badCodeText, "code is not that of grant %q", g.ID)
	case clientID != g.ClientID:
		return "", false, badCode("code_client", badCodeText, "client %q brings a code of client %q", clientID, g.ClientID)
	case redirectURI != g.RedirectURI:
		return "", false, badCode("code_redirect_uri", "redirect_uri is not that of the authorization request",
			"redirect URI %q instead of %q", redirectURI, g.RedirectURI)
	}
	if err := VerifyPKCE(g.CodeChallenge, verifier); err != nil {
		return "", false, err
	}
	switch {
	case g.State == Redeemed:
		g.State = Revoked
		return "", true, badCode("code_used", usedCodeText, "code was used a second time: access token is revoked")
	case g.State != Issued:
		return "", false, badCode("code_used", usedCodeText, "code was used again")
	case !now.Before(g.CodeUntil):
		return "", false, badCode("code_expired", "code has expired", "code expired at %v", g.CodeUntil)
	}
	accessToken = g.newSecret()
	g.State, g.TokenHash, g.TokenUntil = Redeemed, hash(accessToken), now.Add(TokenLifetime)
	return accessToken, true, nil
}

const (
	badCodeText  = "code is not valid"
	usedCodeText = "code was used before"
)

func badCode(reason, description, format string, args ...any) *Error {
	return &Error{Code: InvalidGrant, Description: description, Reason: reason, Err: fmt.Errorf(format, args...)}
}

// CheckToken checks an access token of the grant (RFC 6750 section 3.1). Its
// errors are *Error with InvalidToken.
func (g *Grant) CheckToken(token string, now time.Time) error {
	reason, err := "", error(nil)
	switch {
	case !matches(token, g.TokenHash):
		reason, err = "token_unknown", fmt.Errorf("access token is not that of grant %q", g.ID)
	case g.State != Redeemed:
		reason, err = "token_revoked", errors.New("code of the access token was used twice")
	case !now.Before(g.TokenUntil):
		reason, err = "token_expired", fmt.Errorf("access token expired at %v", g.TokenUntil)
	default:
		return nil
	}
	return &Error{Code: InvalidToken, Description: "access token is not valid", Reason: reason, Err: err}
}
