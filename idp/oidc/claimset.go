package oidc

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Times in what clients sign.
const (
	leeway       = time.Minute // that two clocks may differ
	maxLifetime  = time.Hour   // of a signature, from now: so long its ID stays claimed
	requestIssue = 5 * time.Minute
)

// claimSet is a JSON object by member name: a header or the claims of a JWT (RFC
// 7519 section 4), no name twice at any depth.
type claimSet map[string]jsontext.Value

func readClaimSet(data []byte) (claimSet, error) {
	var s claimSet
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if s == nil {
		return nil, fmt.Errorf("null is no object")
	}
	return s, nil
}

// text gives a member that is a string; absent or null, "".
func (s claimSet) text(name string) (string, error) {
	value, ok := s[name]
	if !ok || value.Kind() == 'n' {
		return "", nil
	}
	if value.Kind() != '"' {
		return "", fmt.Errorf("%s is no string", name)
	}
	var text string
	err := json.Unmarshal(value, &text)
	return text, err
}

// texts gives a member that is a string or a list of strings (RFC 7519 section
// 4.1.3).
func (s claimSet) texts(name string) ([]string, error) {
	value := s[name]
	if value.Kind() == '[' {
		var all []string
		err := json.Unmarshal(value, &all)
		return all, err
	}
	text, err := s.text(name)
	if err != nil || text == "" {
		return nil, err
	}
	return []string{text}, nil
}

// date gives a NumericDate (RFC 7519 section 2); absent, the zero time.
func (s claimSet) date(name string) (time.Time, *BadRequest) {
	value, ok := s[name]
	if !ok {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseFloat(string(value), 64)
	// The upper bound is the last second that time.Time can be told to add an hour
	// to and still print: the year 9999.
	if value.Kind() != '0' || err != nil || seconds < 0 || seconds > 253402300799 {
		return time.Time{}, bad("malformed", "%s is %.40q, no date", name, value)
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)), nil
}

// checkTimes checks exp, nbf and iat, and gives when the signature is of no use
// any more, leeway included. Without exp it is good for so long after iat, unless
// that is zero.
func (s claimSet) checkTimes(now time.Time, afterIssue time.Duration) (until time.Time, fault *BadRequest) {
	var exp, nbf, iat time.Time
	for _, claim := range [...]struct {
		name string
		to   *time.Time
	}{{"exp", &exp}, {"nbf", &nbf}, {"iat", &iat}} {
		if *claim.to, fault = s.date(claim.name); fault != nil {
			return time.Time{}, fault
		}
	}
	if exp.IsZero() && !iat.IsZero() && afterIssue > 0 {
		exp = iat.Add(afterIssue)
	}
	until = exp.Add(leeway)
	switch {
	case exp.IsZero():
		return time.Time{}, bad("exp_missing", "no exp")
	case !now.Before(until):
		return time.Time{}, bad("expired", "expired %s ago", now.Sub(exp).Round(time.Second))
	case exp.After(now.Add(maxLifetime + leeway)):
		return time.Time{}, bad("exp_far", "expires in %s, %s are allowed", exp.Sub(now), maxLifetime)
	case nbf.After(now.Add(leeway)) || iat.After(now.Add(leeway)):
		return time.Time{}, bad("future", "iat %s and nbf %s, our clock says %s", iat.UTC(), nbf.UTC(), now.UTC())
	}
	return until, nil
}

// maxID bounds jti, in bytes.
const maxID = 256

// id gives jti (RFC 7519 section 4.1.7); absent, "".
func (s claimSet) id() (string, *BadRequest) {
	id, err := s.text("jti")
	if err != nil {
		return "", bad("malformed", "%w", err)
	}
	if len(id) > maxID {
		return "", bad("malformed", "jti is %d bytes, at most %d are kept", len(id), maxID)
	}
	if fault := checkValue("jti", id); fault != nil {
		return "", fault
	}
	return id, nil
}
