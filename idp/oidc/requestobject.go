package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/contract"
)

// requestAlgs are what request objects may be signed with. None is none of them.
var requestAlgs = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.HS256, jose.HS384, jose.HS512}

var requestTypes = []string{"jwt", "oauth-authz-req+jwt"}

// requestObject is a request object that its client signed (RFC 9101 section 4).
type requestObject struct {
	claims claimSet
	values parameters
	digest [sha256.Size]byte // of the payload: the encoding around it can be varied without its signer
}

// authorizationParameters are those that are read, wherever they stand.
var authorizationParameters = [...]string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "response_mode", "prompt", "max_age", "login_hint",
	"id_token_hint", "code_challenge", "code_challenge_method", "acr_values", "claims", "registration",
	contract.ClaimAppInstanceID, contract.ClaimAppName, contract.AppInstanceID, contract.AppName,
}

// openRequestObject verifies the signature of a request object and reads it. What
// it says of time and audience is not checked yet.
func openRequestObject(encoded string, c *Client, now time.Time) (*requestObject, *BadRequest) {
	v := verifier{algs: requestAlgs, keys: c.Keys, types: requestTypes}
	for _, s := range c.Secrets {
		if s.Clear != "" && !s.expired(now) {
			v.secrets = append(v.secrets, []byte(s.Clear))
		}
	}
	payload, fault := v.open(encoded)
	if fault != nil {
		return nil, fault
	}
	claims, err := readClaimSet(payload)
	if err != nil {
		return nil, bad("malformed", "%w", err)
	}
	o := &requestObject{claims: claims, values: parameters{}, digest: sha256.Sum256(payload)}
	for _, name := range [...]string{"request", "request_uri"} {
		if _, ok := claims[name]; ok {
			return nil, bad("nested", "%s in a request object", name) // RFC 9101 section 4
		}
	}
	for _, name := range authorizationParameters {
		if fault := o.read(name); fault != nil {
			return nil, fault
		}
	}
	return o, nil
}

// read takes a parameter over. Numbers and objects stand for themselves (OpenID
// Connect core 6.1), where the parameter is one.
func (o *requestObject) read(name string) *BadRequest {
	value, ok := o.claims[name]
	switch kind := value.Kind(); {
	case !ok || kind == 'n':
		return nil
	case kind == '0' && name == "max_age", kind == '{' && (name == "claims" || name == "registration"):
		o.values[name] = string(value)
		return nil
	}
	text, err := o.claims.text(name)
	if err != nil {
		return bad("malformed", "%w", err)
	}
	if fault := checkValue(name, text); fault != nil {
		return fault
	}
	o.values[name] = text
	return nil
}

// checkClient makes sure that the object is the client's in its words too: its
// key may be known under two client IDs.
func (o *requestObject) checkClient(c *Client) *BadRequest {
	named := false
	for _, name := range [...]string{"client_id", "iss"} {
		id, err := o.claims.text(name)
		if err != nil || id != "" && id != c.ID {
			return bad("client_mismatch", "%s in the request object is %.200q, not %q", name, id, c.ID)
		}
		named = named || id != ""
	}
	if !named && c.Keys != nil { // a secret is one client's own, a key may be two clients'
		return bad("client_mismatch", "the request object has neither client_id nor iss")
	}
	return nil
}

// check checks whom and when the object is for, and gives what makes it unique.
func (o *requestObject) check(c *Client, p *Provider, now time.Time) (id string, until time.Time, fault *BadRequest) {
	// RFC 9101 section 10.8: else what authenticates a client could pass for a
	// request of it, and the other way round.
	if sub, err := o.claims.text("sub"); err != nil || sub == c.ID {
		return "", time.Time{}, bad("subject", "sub is the client")
	}
	// RFC 9101 section 4: aud SHOULD be there.
	audience, err := o.claims.texts("aud")
	if err != nil {
		return "", time.Time{}, bad("malformed", "%w", err)
	}
	if _, ok := o.claims["aud"]; ok && !slices.Contains(audience, p.Issuer) && !slices.Contains(audience, p.AuthorizeURL) {
		return "", time.Time{}, bad("audience", "aud is %.200q", audience)
	}
	if until, fault = o.claims.checkTimes(now, requestIssue); fault != nil {
		return "", time.Time{}, fault
	}
	if id, fault = o.claims.id(); fault != nil {
		return "", time.Time{}, fault
	}
	if id == "" {
		id = "sha256:" + hex.EncodeToString(o.digest[:])
	}
	return id, until, nil
}

// claimedClient is the client that a JWT names in the first of its claims that is
// there. Nothing is verified.
func claimedClient(token string, names ...string) string {
	_, rest, _ := strings.Cut(token, ".")
	encoded, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	claims, err := readClaimSet(payload)
	if err != nil {
		return ""
	}
	for _, name := range names {
		if id, err := claims.text(name); err == nil && id != "" && checkValue(name, id) == nil {
			return id
		}
	}
	return ""
}
