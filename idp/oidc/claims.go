package oidc

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gatepost.dev/contract"
	"gatepost.dev/posture"
)

// DeviceContext is the claim device_context (Okta device posture data contract).
type DeviceContext struct {
	Managed    bool   `json:"managed"`
	Compliant  bool   `json:"compliant"`
	ExternalID string `json:"externalId,omitempty"` // the device's ID; empty, and then left out, when no device is known
}

// Claims that are given only when asked for, by scope (OpenID Connect core 5.4)
// or by name (5.5).
const (
	claimEmail    = "email"
	claimUsername = "preferred_username"
)

// SubjectOf is the sub of a user: the same whatever the device, the relying
// party and the case of ASCII letters. A name that cannot be a sub, which is 255
// ASCII characters at most (OpenID Connect core 2), is hashed, and so is one
// that looks like such a hash, since it would be another user's sub. The sub of
// nobody is empty.
func SubjectOf(user string) string {
	if user == "" {
		return ""
	}
	folded := posture.FoldUser(user)
	if isPlain(folded) && !isHashedSubject(folded) {
		return folded
	}
	sum := sha256.Sum256([]byte(folded))
	return hashedSubject + hex.EncodeToString(sum[:])
}

const hashedSubject = "u-"

func isHashedSubject(sub string) bool {
	digits, ok := strings.CutPrefix(sub, hashedSubject)
	return ok && isHex(digits, 2*sha256.Size)
}

// isPlain tells whether s can stand for a user as it is: printable ASCII without
// spaces.
func isPlain(s string) bool {
	return len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// isHex tells whether s is that many lower-case hexadecimal digits.
func isHex(s string, digits int) bool {
	return len(s) == digits && strings.Trim(s, "0123456789abcdef") == ""
}

// AllowsSubject tells whether the request can be answered for sub. It cannot
// when its claims parameter names other ones (OpenID Connect core 5.5.1).
func (a *Authorization) AllowsSubject(sub string) bool {
	for _, asked := range []map[string]ClaimRequest{a.Claims.IDToken, a.Claims.UserInfo} {
		if values := asked["sub"].Values; len(values) > 0 && !slices.Contains(values, sub) {
			return false
		}
	}
	return true
}

// optionalClaims are the claims beyond the usual ones for one of the two places
// that they are given in. A scope gives them in both, since Okta may read either.
func optionalClaims(scopes []string, asked map[string]ClaimRequest) []string {
	var names []string
	for _, c := range [...]struct{ name, scope string }{{claimEmail, "email"}, {claimUsername, "profile"}} {
		if _, ok := asked[c.name]; ok || slices.Contains(scopes, c.scope) {
			names = append(names, c.name)
		}
	}
	return names
}

// Check refuses a grant that cannot be answered with claims that are true to
// Okta's contract and to OpenID Connect core 2. Nothing is signed without it.
func (g *Grant) Check() error {
	switch {
	case g.ClientID == "":
		return errors.New("no client")
	case g.User == "":
		return errors.New("no user")
	case g.Subject != SubjectOf(g.User):
		return fmt.Errorf("subject %q is not that of user %q", g.Subject, g.User)
	case g.AuthTime.Unix() <= 0:
		return errors.New("no time of authentication")
	case g.Device.Compliant && !g.Device.Managed:
		return errors.New("against the contract: device is compliant without being managed")
	case g.Device.Managed && g.Device.ExternalID == "":
		return errors.New("against the contract: managed device has no ID")
	}
	for _, s := range [...]string{g.ClientID, g.User, g.Nonce, g.Device.ExternalID} {
		if !utf8.ValidString(s) {
			return fmt.Errorf("claim %q is not UTF-8", s)
		}
	}
	for i, method := range g.AMR {
		if method == "" || !isPlain(method) || slices.Contains(g.AMR[:i], method) {
			return fmt.Errorf("authentication method %q is empty, doubled or not plain ASCII", method)
		}
	}
	return checkApp(g.App)
}

func checkApp(app []Parameter) error {
	for i, p := range app {
		if !slices.Contains(appParameters[:], p.Name) {
			return fmt.Errorf("%q is no part of the application context", p.Name)
		}
		if hasParameter(app[:i], p.Name) {
			return fmt.Errorf("application context has two of %q", p.Name)
		}
		if !utf8.ValidString(p.Value) {
			return fmt.Errorf("claim %q is not UTF-8", p.Value)
		}
	}
	return nil
}

func hasParameter(parameters []Parameter, name string) bool {
	return slices.ContainsFunc(parameters, func(p Parameter) bool { return p.Name == name })
}

// writeClaims writes what the ID token and the answer of the UserInfo endpoint
// say alike, with those of the optional claims that belong there.
func (g *Grant) writeClaims(o *object, optional []string) {
	o.string("sub", g.Subject)
	o.name("device_context")
	o.b = append(o.b, `{"managed":`...)
	o.b = strconv.AppendBool(o.b, g.Device.Managed)
	o.b = append(o.b, `,"compliant":`...)
	o.b = strconv.AppendBool(o.b, g.Device.Compliant)
	if g.Device.ExternalID != "" {
		o.b = append(o.b, `,"externalId":`...)
		o.b = appendString(o.b, g.Device.ExternalID)
	}
	o.b = append(o.b, '}')
	for _, p := range g.App {
		o.string(p.Name, p.Value)
	}
	// Under which names Okta reads them is not sure: its guide's always go too.
	for _, p := range g.App {
		switch {
		case p.Name == contract.AppInstanceID && !hasParameter(g.App, contract.ClaimAppInstanceID):
			o.string(contract.ClaimAppInstanceID, p.Value)
		case p.Name == contract.AppName && !hasParameter(g.App, contract.ClaimAppName):
			o.string(contract.ClaimAppName, p.Value)
		}
	}
	for _, name := range optional {
		switch {
		case name == claimEmail && strings.Contains(g.User, "@"):
			o.string(claimEmail, g.User)
		case name == claimUsername:
			o.string(claimUsername, g.User)
		}
	}
}

// UserInfo is the answer of the UserInfo endpoint (OpenID Connect core 5.3.2):
// a JSON object that says of user and device what the ID token says.
func UserInfo(g *Grant) ([]byte, error) {
	if err := g.Check(); err != nil {
		return nil, fmt.Errorf("prepare user info: %w", err)
	}
	o := object{b: make([]byte, 0, 512)}
	g.writeClaims(&o, g.UserInfoClaims)
	return o.end(), nil
}
