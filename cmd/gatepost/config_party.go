package main

import "gatepost.dev/posture"

// RelyingParty is one Okta organisation that may ask, by SAML or by OpenID
// Connect. One that asks by both is two relying parties.
type RelyingParty struct {
	// Name is how commands, decisions and logs call it: letters, digits, ".",
	// "_" and "-", at most 64. Required.
	Name string `yaml:"name"`

	// SAML is what is known of it as a SAML service provider. It or OIDC is
	// required.
	SAML SAML `yaml:"saml"`

	// OIDC is what is known of it as an OpenID Connect client.
	OIDC OIDC `yaml:"oidc"`

	// Use is what it takes answers for: posture (by Okta's data contract), factor
	// (an assertion without that, for a device that is managed and compliant, else a
	// refusal) or both (a request's context says which). Defaults to posture. SAML only.
	Use string `yaml:"use"`

	// Policy is the name of the policy that judges its devices. Defaults to
	// "default".
	Policy string `yaml:"policy"`

	// Applications are those of the organisation's applications that have a policy
	// of their own, by the application context of the request; the first that
	// matches counts.
	Applications []Application `yaml:"applications"`

	// Sign is which part of an answer is signed: both, assertion or response.
	// Strict clients refuse either alone. Defaults to both. SAML only.
	Sign string `yaml:"sign"`

	// Encrypt encrypts assertions to the key in the metadata. Defaults to
	// false. SAML only.
	Encrypt bool `yaml:"encrypt"`

	// AllowSHA1Digests accepts requests whose signature has a SHA-1 digest, as
	// Okta sent them until December 2025. The signature itself must be SHA-256
	// or better all the same. Each use is logged. Defaults to false. SAML only.
	AllowSHA1Digests bool `yaml:"allow_sha1_digests"`

	// OnUnmanaged is the answer for a device that is not managed: refuse
	// (AuthnFailed or access_denied, with DEVICE_NOT_MANAGED) or assert (Success
	// with IsManaged false, or managed false). Defaults to refuse.
	OnUnmanaged string `yaml:"on_unmanaged"`

	// OnNoncompliant is the answer for a managed device that is not compliant:
	// assert (Success with IsCompliant false, or compliant false), refuse, or
	// explain: the user first sees which rules the device fails and how to mend it,
	// can have it checked again, and goes on with the answer of assert if he likes.
	// Defaults to assert.
	OnNoncompliant string `yaml:"on_noncompliant"`

	// AgentChallenge is for browsers that show no certificate: the user is asked to
	// have the agent on the device say which device it is, which the browser carries
	// there and back. Defaults to false: such a browser is on an unmanaged device.
	AgentChallenge bool `yaml:"agent_challenge"`

	// Attestation is whether SAML answers say what hardware vouched for, as an
	// Attestation: a JWT in EAT form (RFC 9711) that the server signs. Only for
	// devices that were recognised by an attested key. Defaults to false.
	Attestation bool `yaml:"attestation"`

	// BindOwner is what to make of a managed device when the answer is about a
	// user who does not own it: off (nothing), warn (answer all the same, and say
	// owner_mismatch in the decision and the log) or enforce (it is not managed).
	// true is enforce, and false is off. Defaults to off.
	BindOwner posture.OwnerBinding `yaml:"bind_owner"`
}

// SAML is what is known of a relying party as a SAML service provider.
type SAML struct {
	// Metadata is the path of the service provider's metadata, as downloaded
	// from Okta. Required.
	Metadata string `yaml:"metadata"`
}
