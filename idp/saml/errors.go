package saml

import "fmt"

// Status codes (SAML core 3.2.2.2). The first four are top-level codes, the
// others only ever stand below one of them.
const (
	StatusSuccess         = "urn:oasis:names:tc:SAML:2.0:status:Success"
	StatusRequester       = "urn:oasis:names:tc:SAML:2.0:status:Requester"
	StatusResponder       = "urn:oasis:names:tc:SAML:2.0:status:Responder"
	StatusVersionMismatch = "urn:oasis:names:tc:SAML:2.0:status:VersionMismatch"

	StatusAuthnFailed           = "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"
	StatusInvalidNameIDPolicy   = "urn:oasis:names:tc:SAML:2.0:status:InvalidNameIDPolicy"
	StatusNoAuthnContext        = "urn:oasis:names:tc:SAML:2.0:status:NoAuthnContext"
	StatusRequestUnsupported    = "urn:oasis:names:tc:SAML:2.0:status:RequestUnsupported"
	StatusRequestVersionTooHigh = "urn:oasis:names:tc:SAML:2.0:status:RequestVersionTooHigh"
	StatusRequestVersionTooLow  = "urn:oasis:names:tc:SAML:2.0:status:RequestVersionTooLow"
	StatusUnknownPrincipal      = "urn:oasis:names:tc:SAML:2.0:status:UnknownPrincipal"
	StatusUnsupportedBinding    = "urn:oasis:names:tc:SAML:2.0:status:UnsupportedBinding"
)

// BadRequest is why a message is not answered with SAML at all: it is not well
// formed, or its sender cannot be believed.
type BadRequest struct {
	// Reason is one of a fixed set of short codes, such as "signature_invalid",
	// for logs and counters. It never holds anything of the request.
	Reason string
	// Err says more. It may quote the request, so it is for the log alone.
	Err error
}

func (e *BadRequest) Error() string {
	if e.Err == nil {
		return "bad request: " + e.Reason
	}
	return "bad request: " + e.Reason + ": " + e.Err.Error()
}

func (e *BadRequest) Unwrap() error { return e.Err }

func bad(reason, format string, args ...any) *BadRequest {
	return &BadRequest{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// StatusError is why a request whose sender is believed cannot be met. It is
// answered with a signed Response without an assertion, posted to Request.ACS.
type StatusError struct {
	Request *Request // everything that the answer needs
	Code    string   // top-level status code
	Sub     string   // second-level status code
	Message string   // StatusMessage, from a fixed list
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("request %q: %s (%s)", e.Request.ID, e.Message, e.Sub)
}
