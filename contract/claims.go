package contract

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// Expected is what a relying party compares an ID token with: what it is, what
// it sent and what came along.
type Expected struct {
	Issuer      string            // exact, trailing slash and all
	ClientID    string            // of the relying party
	Nonce       string            // as sent; "": none was
	MaxAge      *time.Duration    // as sent; nil: none was
	App         map[string]string // the application context as sent, by parameter name
	AccessToken string            // that came with the ID token; "": at_hash is not checked
	Alg         string            // by which the ID token is signed, for example RS256; decides the digest of at_hash
	Now         time.Time
	Leeway      time.Duration // by how much the provider's clock may differ
}

// Claims is what an ID token says of a user and a device.
type Claims struct {
	Subject    string
	Managed    bool
	Compliant  bool // false as well when the token does not say
	ExternalID string
	ACR        string
	AMR        []string

	members map[string]json.RawMessage
}

// ParseIDToken reads the claims of an ID token, the JSON that was signed, and
// returns them with every requirement that they break. The claims are nil when
// there is no object to read. It verifies no signature: payload is what one was
// found good for.
func ParseIDToken(payload []byte, want *Expected) (*Claims, []Finding) {
	members, err := readObject(payload)
	if err != nil {
		return nil, []Finding{broken(tokenJSON, "not one JSON object: %v", err)}
	}
	c := &Claims{members: members}
	r := &claimReader{members: members}
	r.issuedTo(want)
	r.times(want)
	r.accessToken(want)
	c.Subject = r.subject()
	r.authentication(c)
	r.device(c)
	r.app(want.App)
	return c, r.found
}

// claimReader gathers what it finds wrong with the members of an object.
type claimReader struct {
	members map[string]json.RawMessage
	found   []Finding
}

func (r *claimReader) broken(requirement int, format string, args ...any) {
	r.found = append(r.found, broken(requirement, format, args...))
}

// issuedTo checks whose token it is and for whom, and that it answers this
// request.
func (r *claimReader) issuedTo(want *Expected) {
	if iss, ok := stringOf(r.members["iss"]); !ok || iss != want.Issuer {
		r.broken(tokenIssuer, "iss is %s, not %q", shown(r.members["iss"]), want.Issuer)
	}
	audience, ok := stringsOf(r.members["aud"])
	if one, single := stringOf(r.members["aud"]); single {
		audience, ok = []string{one}, true
	}
	if !ok || len(audience) != 1 || audience[0] != want.ClientID {
		r.broken(tokenAudience, "aud is %s, not %q alone", shown(r.members["aud"]), want.ClientID)
	}
	if raw, there := r.members["azp"]; there {
		if azp, ok := stringOf(raw); !ok || azp != want.ClientID {
			r.broken(tokenAudience, "azp is %s, not %q", shown(raw), want.ClientID)
		}
	}
	if want.Nonce == "" {
		return
	}
	if nonce, ok := stringOf(r.members["nonce"]); !ok || nonce != want.Nonce {
		r.broken(tokenNonce, "nonce is %s, not %q", shown(r.members["nonce"]), want.Nonce)
	}
}

// times checks the token's life.
func (r *claimReader) times(want *Expected) {
	expiry, ok := timeOf(r.members["exp"])
	if !ok || !want.Now.Before(expiry.Add(want.Leeway)) {
		r.broken(tokenExpiry, "exp is %s, now is %d", shown(r.members["exp"]), want.Now.Unix())
	}
	issued, ok := timeOf(r.members["iat"])
	if !ok || issued.After(want.Now.Add(want.Leeway)) || !issued.Before(expiry) {
		r.broken(tokenIssued, "iat is %s, exp is %s, now is %d", shown(r.members["iat"]), shown(r.members["exp"]), want.Now.Unix())
	}
	raw, there := r.members["auth_time"]
	if !there && want.MaxAge == nil {
		return
	}
	at, ok := timeOf(raw)
	if !ok || want.MaxAge != nil && want.Now.Sub(at) > *want.MaxAge+want.Leeway {
		r.broken(tokenAuthTime, "auth_time is %s, now is %d", shown(raw), want.Now.Unix())
	}
}

// accessToken checks at_hash.
func (r *claimReader) accessToken(want *Expected) {
	if want.AccessToken == "" {
		return
	}
	raw, there := r.members["at_hash"]
	if !there {
		r.broken(tokenHashPresent, "there is no at_hash")
		return
	}
	expected := accessTokenHash(want.Alg, want.AccessToken)
	if got, ok := stringOf(raw); !ok || got != expected {
		r.broken(tokenHash, "at_hash is %s, not %q", shown(raw), expected)
	}
}

// accessTokenHash is the left half of the digest that the signature's algorithm
// uses (OpenID Connect core 3.1.3.6). EdDSA's is SHA-512, for Ed25519.
func accessTokenHash(alg, token string) string {
	var half []byte
	switch {
	case alg == "EdDSA" || len(alg) == 5 && alg[2:] == "512":
		sum := sha512.Sum512([]byte(token))
		half = sum[:32]
	case len(alg) == 5 && alg[2:] == "384":
		sum := sha512.Sum384([]byte(token))
		half = sum[:24]
	default:
		sum := sha256.Sum256([]byte(token))
		half = sum[:16]
	}
	return base64.RawURLEncoding.EncodeToString(half)
}

func (r *claimReader) subject() string {
	sub, ok := stringOf(r.members["sub"])
	notPrintable := func(c rune) bool { return c < ' ' || c > '~' }
	if !ok || sub == "" || len(sub) > 255 || strings.ContainsFunc(sub, notPrintable) {
		r.broken(tokenSubject, "sub is %s", shown(r.members["sub"]))
	}
	return sub
}

// authentication checks by which means the device was recognised.
func (r *claimReader) authentication(c *Claims) {
	var ok bool
	if c.ACR, ok = stringOf(r.members["acr"]); !ok || c.ACR != DevicePosture {
		r.broken(tokenACR, "acr is %s", shown(r.members["acr"]))
	}
	raw, there := r.members["amr"]
	if !there {
		r.broken(tokenAMRPresent, "there is no amr")
		return
	}
	if c.AMR, ok = stringsOf(raw); !ok {
		r.broken(tokenAMR, "amr is %s", shown(raw))
	}
}

// device checks the claim that all this is about.
func (r *claimReader) device(c *Claims) {
	raw := r.members[ClaimDeviceContext]
	device, err := membersOf(raw) // its names are unique, as all of the token's are
	if err != nil {
		r.broken(deviceContext, "%s is %s", ClaimDeviceContext, shown(raw))
		return
	}
	managed, ok := boolOf(device["managed"])
	if !ok {
		r.broken(contextManaged, "managed is %s", shown(device["managed"]))
	}
	c.Managed = managed
	if said, there := device["compliant"]; !there {
		r.broken(contextCompliantPresent, "there is no compliant")
	} else if c.Compliant, ok = boolOf(said); !ok {
		r.broken(contextCompliant, "compliant is %s", shown(said))
	}
	id, there := device["externalId"]
	if !there {
		if c.Managed {
			r.broken(contextIDPresent, "the device is managed and has no externalId")
		}
		return
	}
	if c.ExternalID, ok = stringOf(id); !ok || c.ExternalID == "" {
		r.broken(contextID, "externalId is %s", shown(id))
	}
}

// app checks that the application context came back, neither trimmed nor in
// another case.
func (r *claimReader) app(sent map[string]string) {
	for _, name := range [...]string{ClaimAppInstanceID, ClaimAppName, AppInstanceID, AppName} {
		value, was := sent[name]
		if got, ok := stringOf(r.members[name]); was && (!ok || got != value) {
			r.broken(appContext, "%s is %s, not %q", name, shown(r.members[name]), value)
		}
	}
	for _, pair := range [...][2]string{{AppInstanceID, ClaimAppInstanceID}, {AppName, ClaimAppName}} {
		value, was := sent[pair[0]]
		if _, both := sent[pair[1]]; !was || both {
			continue
		}
		if got, ok := stringOf(r.members[pair[1]]); !ok || got != value {
			r.broken(appContextNames, "%s is %s, not %q, which was sent as %s", pair[1], shown(r.members[pair[1]]), value, pair[0])
		}
	}
}

// CheckUserInfo compares what UserInfo says, as JSON, with the ID token of the
// same sign-in and returns the requirements that it breaks, nil when it breaks
// none.
func (c *Claims) CheckUserInfo(payload []byte) []Finding {
	members, err := readObject(payload)
	if err != nil {
		return []Finding{broken(userInfoJSON, "not one JSON object: %v", err)}
	}
	r := &claimReader{members: members}
	if sub, ok := stringOf(members["sub"]); !ok || sub != c.Subject {
		r.broken(userInfoSubject, "sub is %s, %q in the ID token", shown(members["sub"]), c.Subject)
	}
	device, there := members[ClaimDeviceContext]
	switch {
	case !there:
		r.broken(userInfoContextPresent, "there is no %s", ClaimDeviceContext)
	case !equal(device, c.members[ClaimDeviceContext]):
		r.broken(userInfoContext, "%s is %s, %s in the ID token", ClaimDeviceContext, shown(device), shown(c.members[ClaimDeviceContext]))
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch name {
		case "sub", ClaimDeviceContext, "exp", "iat", "nbf", "jti":
			continue // compared above, or about the message and not about the user
		}
		if token, both := c.members[name]; both && !equal(members[name], token) {
			r.broken(userInfoClaims, "%s is %s, %s in the ID token", name, shown(members[name]), shown(token))
		}
	}
	return r.found
}

// shown cuts a value for a message.
func shown(raw json.RawMessage) string {
	const most = 200
	switch {
	case raw == nil:
		return "not there"
	case len(raw) > most:
		return string(bytes.ToValidUTF8(raw[:most], nil)) + "…"
	}
	return string(raw)
}
