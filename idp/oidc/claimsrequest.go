package oidc

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxClaims bounds the claims parameter, in bytes: it is kept with the code.
const maxClaims = 8 << 10

// ClaimsRequest is the claims parameter (OpenID Connect core 5.5), by claim name.
type ClaimsRequest struct {
	IDToken  map[string]ClaimRequest `json:"id_token,omitempty"`
	UserInfo map[string]ClaimRequest `json:"userinfo,omitempty"`
}

// ClaimRequest is what is asked of one claim (OpenID Connect core 5.5.1).
type ClaimRequest struct {
	Essential bool     `json:"essential,omitempty"`
	Values    []string `json:"values,omitempty"` // of value and values; empty: any. What is no string is left out.
}

// parseClaimsRequest reads the claims parameter. Members that are not understood
// are ignored (OpenID Connect core 5.5).
func parseClaimsRequest(text string) (ClaimsRequest, error) {
	if text == "" {
		return ClaimsRequest{}, nil
	}
	if len(text) > maxClaims {
		return ClaimsRequest{}, fmt.Errorf("claims is %d bytes, at most %d are read", len(text), maxClaims)
	}
	var members struct {
		IDToken  map[string]jsontext.Value `json:"id_token"`
		UserInfo map[string]jsontext.Value `json:"userinfo"`
	}
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return ClaimsRequest{}, fmt.Errorf("claims: %w", err)
	}
	if jsontext.Value(text).Kind() != '{' {
		return ClaimsRequest{}, fmt.Errorf("claims is no object")
	}
	var r ClaimsRequest
	var err error
	if r.IDToken, err = parseClaimRequests(members.IDToken); err != nil {
		return ClaimsRequest{}, err
	}
	r.UserInfo, err = parseClaimRequests(members.UserInfo)
	return r, err
}

func parseClaimRequests(claims map[string]jsontext.Value) (map[string]ClaimRequest, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	requests := make(map[string]ClaimRequest, len(claims))
	for name, value := range claims {
		var asked struct {
			Essential bool             `json:"essential"`
			Value     jsontext.Value   `json:"value"`
			Values    []jsontext.Value `json:"values"`
		}
		// null is a claim that is asked for in the default manner.
		if err := json.Unmarshal(value, &asked); err != nil {
			return nil, fmt.Errorf("claims: %.80q: %w", name, err)
		}
		request := ClaimRequest{Essential: asked.Essential}
		if len(asked.Value) > 0 {
			asked.Values = append(asked.Values, asked.Value)
		}
		for _, v := range asked.Values {
			var text string
			if v.Kind() != '"' || json.Unmarshal(v, &text) != nil {
				if name == "sub" || name == "acr" {
					// Leaving it out would let any user, or any class, do.
					return nil, fmt.Errorf("claims: %q is asked to be %.40q", name, v)
				}
				continue
			}
			request.Values = append(request.Values, text)
		}
		requests[name] = request
	}
	return requests, nil
}
