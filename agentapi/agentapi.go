// Package agentapi is the wire format between a device agent and the server:
// what is posted to /agent/v1/..., what comes back, and the limits of both.
//
// It is bytes and types only. What the server makes of them is in devices, and
// how an agent comes by them is in agent.
package agentapi

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Paths of the endpoints. Enrolling is on the issuer's host; the others are on
// the device host, where a client certificate is asked for.
const (
	EnrollPath = "/agent/v1/enroll"
	RenewPath  = "/agent/v1/renew"
	ReportPath = "/agent/v1/report"
	WaitPath   = "/agent/v1/wait" // GET; answered when there is word, or with 204 after a while
)

// MaxBody is how many bytes a request may have.
const MaxBody = 64 << 10

// Device is what an agent says of the hardware and the system that it runs on.
// All of it is the device's own word. An empty field says nothing.
type Device struct {
	Vendor     string `json:"vendor,omitempty"`
	Model      string `json:"model,omitempty"`
	OS         string `json:"os,omitempty"`         // Linux, macOS or Windows
	OSVersion  string `json:"os_version,omitempty"` // such as 15.5
	Serial     string `json:"serial,omitempty"`
	HardwareID string `json:"hardware_id,omitempty"` // of the mainboard, such as its SMBIOS UUID; it outlives a new system
}

// EnrollRequest asks for the device's first certificate.
type EnrollRequest struct {
	Token  string `json:"token"`  // one use, from `gatepost token create --kind enroll`
	CSR    string `json:"csr"`    // PKCS #10 in PEM (RFC 2986); of it only the key is taken
	Device Device `json:"device"` // finds the record of hardware that is known already

	TPM *TPMEvidence `json:"tpm,omitempty"` // the key is in a TPM
}

// Enrollment is the answer to an EnrollRequest.
type Enrollment struct {
	DeviceID    string    `json:"device"`
	State       State     `json:"state"`
	Certificate string    `json:"certificate"`  // PEM
	Authority   string    `json:"authority"`    // PEM: who issued it
	DeviceURL   string    `json:"device_url"`   // where to renew and report, and where browsers show the certificate
	Sequence    uint64    `json:"sequence"`     // of the last report that is stored; the next has a greater one
	ReportEvery int       `json:"report_every"` // seconds between two reports
	RenewAt     time.Time `json:"renew_at"`
	Loopback    *Loopback `json:"loopback,omitempty"`

	NotAttested NotAttested `json:"not_attested,omitempty"` // empty: it is, or there was no evidence
}

// Loopback is how an agent takes challenges; nil: it takes none.
type Loopback struct {
	Port int    `json:"port"` // on 127.0.0.1 and ::1
	Key  string `json:"key"`  // PEM, PUBLIC KEY (RFC 7468 section 13): what signs them
}

// State is what the inventory makes of a device when it enrols.
type State string

// The states.
const (
	Pending State = "pending" // no trusted source has said yet that it is managed
	Managed State = "managed"
	Held    State = "held" // its hardware is enrolled already: an administrator decides between the two keys
)

// RenewRequest asks, over the current certificate, for the next one.
type RenewRequest struct {
	CSR string `json:"csr"` // with a new key

	TPM *TPMEvidence `json:"tpm,omitempty"` // the key is in the TPM that the device enrolled with
}

// Renewal is the answer to a RenewRequest.
type Renewal struct {
	Certificate string    `json:"certificate"` // PEM
	Authority   string    `json:"authority"`   // PEM
	RenewAt     time.Time `json:"renew_at"`
	Loopback    *Loopback `json:"loopback,omitempty"`

	NotAttested NotAttested `json:"not_attested,omitempty"` // as in Enrollment
}

// Report is what an agent observed.
type Report struct {
	// Sequence is greater than that of every report before: 1 to 2^53 - 1, so
	// that JSON carries it in every language.
	Sequence   uint64    `json:"sequence"`
	ObservedAt time.Time `json:"observed_at"` // by the device's clock
	// BootID names this boot of the system: a new one each time, which never
	// comes back. Two that alternate are two systems with one key.
	BootID string `json:"boot_id,omitempty"`
	// Previous is the Hash of the last report that was stored, as far as the
	// agent knows. Another one is stored: somebody else reports with this key.
	Previous     string            `json:"previous,omitempty"`
	Device       Device            `json:"device"`
	Facts        map[string]string `json:"facts,omitempty"` // by name; one that could not be found out is left out
	Attestations []Attestation     `json:"attestations,omitempty"`
}

// Attestation is evidence about the device.
type Attestation struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// Accepted says that a report is durable.
type Accepted struct {
	Sequence    uint64   `json:"sequence"`
	ReportEvery int      `json:"report_every"`      // seconds until the next one is wanted
	Ignored     []string `json:"ignored,omitempty"` // facts that an agent cannot say
}

// Word is what an agent that waits is told.
type Word struct {
	Report bool `json:"report"` // a report is wanted now
}

// Problem is an answer that is no success: application/problem+json (RFC 9457)
// with what an agent decides by.
type Problem struct {
	Type      string `json:"type"` // about:blank: the title is the status's name
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Reference string `json:"reference"`
	Code      Code   `json:"code,omitempty"`
	// Sequence is the stored one, for CodeSequence.
	Sequence uint64 `json:"sequence,omitempty"`
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Detail
}

// Code is why an agent was refused, for programs.
type Code string

// The codes. What has none is answered by its status alone.
const (
	CodeJSON        Code = "json_invalid"        // 400
	CodeToken       Code = "token_invalid"       // 401: unknown, used, expired or revoked: which, nobody is told
	CodeTokenDevice Code = "token_other_device"  // 403: made for another serial
	CodeRetired     Code = "device_retired"      // 403: this hardware was taken out of service
	CodeKeyInUse    Code = "key_in_use"          // 409: make a new key
	CodeBadKey      Code = "certificate_request" // 422
	CodeCertificate Code = "certificate_refused" // 401: none, expired, revoked, or not one of an enrolled device
	CodeSuspected   Code = "clone_suspected"     // 403: an administrator decides
	CodeSequence    Code = "sequence"            // 409: it did not grow
	CodeInvalid     Code = "request_invalid"     // 422: Detail says what of it
	CodeTooOften    Code = "too_often"           // 429, with Retry-After
	CodeAttestation Code = "attestation_invalid" // 422: the TPM cannot be challenged; enrol without
	CodeOtherTPM    Code = "tpm_other_device"    // 403: the TPM is known as another device's
)

// Known tells whether the code is one of agentapi's.
func (c Code) Known() bool {
	switch c {
	case CodeJSON, CodeToken, CodeTokenDevice, CodeRetired, CodeKeyInUse, CodeBadKey, CodeCertificate, CodeSuspected, CodeSequence, CodeInvalid, CodeTooOften,
		CodeAttestation, CodeOtherTPM:
		return true
	}
	return false
}

// Hash names the bytes of a report: their SHA-256 in lower-case hexadecimal.
func Hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
