package acme

import (
	"fmt"
	"net/http"
	"slices"

	"gatepost.dev/internal/web"
)

// kind is the type of a problem, behind the namespace (RFC 8555 section 6.7).
type kind string

const namespace = "urn:ietf:params:acme:error:"

const (
	accountDoesNotExist     kind = "accountDoesNotExist"
	badAttestationStatement kind = "badAttestationStatement" // draft-acme-device-attest section 9
	badCSR                  kind = "badCSR"
	badNonce                kind = "badNonce"
	badPublicKey            kind = "badPublicKey"
	badSignatureAlgorithm   kind = "badSignatureAlgorithm"
	malformed               kind = "malformed"
	orderNotReady           kind = "orderNotReady"
	rateLimited             kind = "rateLimited"
	rejectedIdentifier      kind = "rejectedIdentifier"
	serverInternal          kind = "serverInternal"
	unauthorized            kind = "unauthorized"
	unsupportedIdentifier   kind = "unsupportedIdentifier"
)

var kinds = []kind{
	accountDoesNotExist, badAttestationStatement, badCSR, badNonce, badPublicKey, badSignatureAlgorithm, malformed,
	orderNotReady, rateLimited, rejectedIdentifier, serverInternal, unauthorized, unsupportedIdentifier,
}

// problem is why something was refused, as it is told and kept.
type problem struct {
	Type      string `json:"type"`
	Detail    string `json:"detail"`
	Status    int    `json:"status"`
	Reference string `json:"reference,omitempty"`
}

// refuse is the error that tells the client the kind and the text.
func refuse(status int, k kind, public string, err error) *web.Error {
	return &web.Error{Status: status, Reason: string(k), Public: public, Err: err}
}

// badRequest refuses what is not well formed.
func badRequest(format string, args ...any) *web.Error {
	err := fmt.Errorf(format, args...)
	return refuse(http.StatusBadRequest, malformed, "The request is malformed: "+err.Error()+".", err)
}

// problemOf is what a client may know of the error.
func problemOf(e *web.Error) *problem {
	k := kind(e.Reason)
	switch {
	case slices.Contains(kinds, k):
	case e.Status >= http.StatusInternalServerError:
		k = serverInternal
	case e.Status == http.StatusTooManyRequests:
		k = rateLimited
	default:
		k = malformed
	}
	return &problem{Type: namespace + string(k), Detail: e.Public, Status: e.Status}
}

// WriteProblem is the WriteError of the endpoints: a problem document (RFC 8555
// section 6.7).
func WriteProblem(w http.ResponseWriter, _ *http.Request, e *web.Error, reference string) {
	p := problemOf(e)
	p.Reference = reference
	// Texts and a number always encode, and nobody is left to tell of a failed
	// write.
	_ = web.WriteProblem(w, e.Status, p)
}
