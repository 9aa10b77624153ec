package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-jose/go-jose/v4"
	fastjson "github.com/go-json-experiment/json"
)

// algorithms are those that messages may be signed by.
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.RS256}

// message is the JWS of a request (RFC 8555 section 6.2), not verified yet.
type message struct {
	jws   *jose.JSONWebSignature
	key   *jose.JSONWebKey // that signed it by its own word; nil: the account's did
	kid   string           // URL of the account
	url   string
	nonce string
}

// envelope is a JWS in flattened JSON serialization (RFC 7515 section 7.2.2)
// without an unprotected header, which RFC 8555 section 6.2 forbids.
type envelope struct {
	Protected string `json:"protected"`
	Payload   string `json:"payload"`
	Signature string `json:"signature"`
}

// parseMessage reads the body of a request. Errors are *web.Error.
func parseMessage(body []byte) (*message, error) {
	var e envelope
	if err := fastjson.Unmarshal(body, &e, fastjson.RejectUnknownMembers(true)); err != nil {
		return nil, badRequest("not a flattened JWS: %w", err)
	}
	jws, err := jose.ParseSignedCompact(e.Protected+"."+e.Payload+"."+e.Signature, algorithms)
	if _, other := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); other {
		return nil, refuse(http.StatusBadRequest, badSignatureAlgorithm, "Sign with ES256, ES384 or RS256.", err)
	}
	if err != nil {
		return nil, badRequest("%w", err)
	}
	h := jws.Signatures[0].Protected
	m := &message{jws: jws, key: h.JSONWebKey, kid: h.KeyID, nonce: h.Nonce}
	var isText bool
	m.url, isText = h.ExtraHeaders["url"].(string)
	switch {
	case !isText || m.url == "":
		return nil, badRequest("the JWS header has no url")
	case m.nonce == "":
		return nil, badNonceError(errors.New("no nonce"))
	case (m.key != nil) == (m.kid != ""):
		return nil, badRequest("the JWS header must have either jwk or kid")
	}
	if m.key != nil {
		if err := checkAccountKey(m.key); err != nil {
			return nil, refuse(http.StatusBadRequest, badPublicKey, "The account's key is not taken: "+err.Error()+".", err)
		}
	}
	return m, nil
}

// checkAccountKey takes keys that can sign by the algorithms and are neither weak
// nor so large that they would tire us.
func checkAccountKey(k *jose.JSONWebKey) error {
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey:
		return nil // go-jose holds the curve against the algorithm
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 4096 || key.E < 1<<16+1 {
			return fmt.Errorf("an RSA key of %d bits with the exponent %d", bits, key.E)
		}
		return nil
	default:
		return fmt.Errorf("a key of type %T", k.Key)
	}
}

// thumbprint names an account key (RFC 7638).
func thumbprint(k *jose.JSONWebKey) (string, error) {
	sum, err := k.Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

// payload of requests. Names that are not known are ignored, as RFC 8555 has it
// for extensions; doubled ones are refused.
func parsePayload[T any](payload []byte) (*T, error) {
	into := new(T)
	if len(payload) == 0 || payload[0] != '{' {
		return nil, badRequest("the payload is no JSON object")
	}
	if err := fastjson.Unmarshal(payload, into); err != nil {
		return nil, badRequest("the payload: %w", err)
	}
	return into, nil
}
