package oidc

import "fmt"

// BadRequest is a request that must be answered to the browser alone: client or
// redirect URI cannot be believed, so nobody else may be told (RFC 6749 section
// 4.1.2.1).
type BadRequest struct {
	Reason string // code for the log, such as "redirect_uri"
	Err    error
}

func (e *BadRequest) Error() string { return e.Reason + ": " + e.Err.Error() }
func (e *BadRequest) Unwrap() error { return e.Err }

// Error is what a relying party is told. Its words come from fixed lists: nothing
// of the request is echoed.
type Error struct {
	Code        string // as registered, such as "invalid_request"
	Description string // error_description
	Reason      string // code for the log; empty: Code
	Err         error  // for the log only
}

func (e *Error) Error() string {
	text := e.Code
	if e.Description != "" {
		text += ": " + e.Description
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Error codes (RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1, OpenID
// Connect core 3.1.2.6, OpenID Connect Core Error Code UNMET_AUTHENTICATION_REQUIREMENTS).
const (
	InvalidRequest                  = "invalid_request"
	AccessDenied                    = "access_denied"
	UnsupportedResponseType         = "unsupported_response_type"
	InvalidScope                    = "invalid_scope"
	LoginRequired                   = "login_required"
	InvalidRequestObject            = "invalid_request_object"
	RequestURINotSupported          = "request_uri_not_supported"
	RegistrationNotSupported        = "registration_not_supported"
	UnmetAuthenticationRequirements = "unmet_authentication_requirements"
	InvalidClient                   = "invalid_client"
	InvalidGrant                    = "invalid_grant"
	UnsupportedGrantType            = "unsupported_grant_type"
	InvalidToken                    = "invalid_token"
)

// bad makes a BadRequest.
func bad(reason, format string, args ...any) *BadRequest {
	return &BadRequest{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// refuse makes an Error of fixed words. The reason is for the log.
func refuse(code, reason, description string) *Error {
	return &Error{Code: code, Description: description, Reason: reason}
}
