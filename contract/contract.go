// Package contract states Okta's device posture data contract: its names as
// constants and its requirements as checks over bytes, each with its citation.
//
// It is neither a provider nor a client: it knows nothing of devices, stores or
// HTTP, and imports no other package of this module.
package contract

// DevicePosture is the authentication context class that Okta requests, the
// class that the answer names, and the XML namespace of the posture extension
// (Okta device posture data contract).
const DevicePosture = "urn:okta:saml:2.0:DevicePosture"

// Names of the facts that Okta reads. Values are the lower-case strings "true"
// and "false" (Okta device posture data contract, device-posture.xsd).
const (
	FactManaged   = "IsManaged"   // required, exactly once
	FactCompliant = "IsCompliant" // optional
)

// DeviceNotManaged is the StatusMessage beside Responder > AuthnFailed when the
// provider cannot say that the device is managed.
const DeviceNotManaged = "DEVICE_NOT_MANAGED"

// Attribute names under which Okta's application context arrives (as elements
// of Extensions) and must be echoed verbatim (as attributes of the assertion).
// With OpenID Connect they are names of parameters and of claims (Okta API,
// OidcSettings.sendApplicationContext).
const (
	AppInstanceID = "OktaAppInstanceId"
	AppName       = "OktaAppName"
)

// The other names of the application context, as parameters and as claims (Okta
// guide "Add an external identity provider", OpenID Connect). Okta's documents
// disagree, so a provider knows all four.
const (
	ClaimAppInstanceID = "app_instance_id"
	ClaimAppName       = "app_name"
)

// ClaimDeviceContext is the claim of the ID token and of UserInfo that says what
// the posture extension says in SAML: {"managed": bool, "compliant": bool,
// "externalId": string} (Okta device posture data contract, OIDC).
const ClaimDeviceContext = "device_context"
