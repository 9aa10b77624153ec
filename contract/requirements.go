package contract

import "fmt"

// Severity says how much a broken requirement matters.
type Severity string

// The severities.
const (
	Must   Severity = "must"   // the answer is refused, or may not be signed
	Should Severity = "should" // the answer is accepted; something is lost
)

// Requirement is one sentence of the contract that a check stands for.
type Requirement struct {
	ID       string // stable, lower case, for example "managed-once"
	Severity Severity
	Citation string // where it is written
	Text     string // what is required
}

// Finding is one broken requirement.
type Finding struct {
	ID       string // of the Requirement
	Severity Severity
	Citation string
	Message  string // what was found instead, the offending value quoted
}

// String gives the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s (%s)", f.ID, f.Message, f.Citation)
}

// Failed tells whether a Must is among the findings.
func Failed(findings []Finding) bool {
	for _, f := range findings {
		if f.Severity == Must {
			return true
		}
	}
	return false
}

// Requirements returns every requirement that ParsePosture, ParseIDToken and
// Claims.CheckUserInfo check, in this order and in that in which they check them.
// Posture.Check checks those of ParsePosture's that a typed value can break.
func Requirements() []Requirement {
	all := requirements
	return all[:]
}

// The requirements by name; the numbers are indices of the table below.
const (
	wellFormed = iota
	authnContext
	classRef
	declPresent
	declaration
	authnMethod
	extension
	deviceOnce
	deviceAttributes
	postureOnce
	factsFirst
	factAttributes
	attestationType
	nothingElse
	characters
	deviceID
	factName
	managedOnce
	managedValue
	compliantOnce
	compliantValue
	factRepeated
	attestationNamed

	tokenJSON
	tokenIssuer
	tokenAudience
	tokenNonce
	tokenExpiry
	tokenIssued
	tokenAuthTime
	tokenHash
	tokenHashPresent
	tokenSubject
	tokenACR
	tokenAMR
	tokenAMRPresent
	deviceContext
	contextManaged
	contextCompliant
	contextCompliantPresent
	contextID
	contextIDPresent
	appContext
	appContextNames
	userInfoJSON
	userInfoSubject
	userInfoContext
	userInfoContextPresent
	userInfoClaims
	requirementCount
)

const (
	citeContract = "Okta device posture data contract"
	citeSample   = "Okta device posture data contract, sample response"
	citeSchema   = "Okta device posture data contract, device-posture.xsd"
	citeOIDC     = "Okta device posture data contract, OIDC"
	citeContext  = "Okta: Send Okta application context"
	citeIDToken  = "OpenID Connect core 2"
	citeVerify   = "OpenID Connect core 3.1.3.7"
)

var requirements = [requirementCount]Requirement{
	wellFormed: {"well-formed", Must, "XML 1.0 section 2.1; Namespaces in XML 1.0 section 3",
		"the document is well formed, with one root, without DOCTYPE, undeclared prefixes or doubled attributes"},
	authnContext: {"authn-context", Must, "SAML core 2.7.2",
		"the assertion has exactly one AuthnStatement and that exactly one AuthnContext"},
	classRef: {"class-ref", Must, citeContract,
		"the AuthnContext begins with exactly one AuthnContextClassRef, equal to " + DevicePosture},
	declPresent: {"decl", Must, "SAML core 2.7.2.2; " + citeSample,
		"exactly one AuthnContextDecl stands right after the AuthnContextClassRef"},
	declaration: {"declaration", Must, citeSample,
		"the AuthnContextDecl holds exactly one AuthenticationContextDeclaration in the namespace " + DevicePosture},
	authnMethod: {"authn-method", Must, citeSample,
		"the AuthenticationContextDeclaration begins with exactly one AuthnMethod in the namespace " + DevicePosture},
	extension: {"extension", Must, citeSample,
		"exactly one Extension in the namespace " + DevicePosture + " stands right after the AuthnMethod"},
	deviceOnce: {"device-once", Must, citeSample,
		"the Extension holds exactly one Device in the namespace " + DevicePosture},
	deviceAttributes: {"device-attributes", Must, citeSchema,
		"the Device has no attributes but ID, Vendor, Model, OS and OSVersion"},
	postureOnce: {"posture-once", Must, citeSchema,
		"the Device holds exactly one Posture, without attributes"},
	factsFirst: {"facts-first", Must, citeSchema,
		"every Fact stands before the first Attestation"},
	factAttributes: {"fact-attributes", Must, citeSchema,
		"a Fact has the attributes Name and Value, and no others"},
	attestationType: {"attestation-type", Must, citeSchema,
		"an Attestation has the attribute Type, and no others"},
	nothingElse: {"nothing-else", Must, citeSchema,
		"no other elements, and no text outside Fact and Attestation"},
	characters: {"characters", Must, "XML 1.0 section 2.2",
		"every value is valid UTF-8 made of characters that XML allows"},
	deviceID: {"device-id", Should, citeSample,
		"the Device has an ID that is not empty"},
	factName: {"fact-name", Must, citeContract,
		"the Name of a Fact is not empty"},
	managedOnce: {"managed-once", Must, citeContract,
		"the Fact " + FactManaged + " is present exactly once"},
	managedValue: {"managed-value", Must, citeContract,
		"the Value of " + FactManaged + ` is "true" or "false"`},
	compliantOnce: {"compliant-once", Must, citeContract,
		"the Fact " + FactCompliant + " is present at most once"},
	compliantValue: {"compliant-value", Must, citeContract,
		"the Value of " + FactCompliant + ` is "true" or "false"`},
	factRepeated: {"fact-repeated", Must, citeContract,
		"no two Facts have the same Name"},
	attestationNamed: {"attestation-named", Must, citeContract,
		"the Type of an Attestation is not empty"},

	tokenJSON: {"token-json", Must, "RFC 7519 section 4; RFC 8259 section 4",
		"the ID token's claims are one JSON object in UTF-8 in which no name stands twice"},
	tokenIssuer: {"token-issuer", Must, citeVerify,
		"iss is exactly the configured issuer"},
	tokenAudience: {"token-audience", Must, citeVerify,
		"aud is the client ID and nobody else; azp, if it is there, is the client ID as well"},
	tokenNonce: {"token-nonce", Must, "Okta: fails without the nonce that was sent; " + citeVerify,
		"nonce is the one that was sent"},
	tokenExpiry: {"token-expiry", Must, citeVerify,
		"exp is a number of seconds and has not come yet"},
	tokenIssued: {"token-issued", Must, citeIDToken,
		"iat is a number of seconds, past, and before exp"},
	tokenAuthTime: {"token-auth-time", Must, citeIDToken + "; OpenID Connect core 3.1.2.1, max_age",
		"auth_time, if it is there, is a number of seconds; when max_age was sent, it is there and not longer ago"},
	tokenHash: {"token-hash", Must, "OpenID Connect core 3.1.3.6 and 3.1.3.8",
		"at_hash, if it is there, is that of the access token"},
	tokenHashPresent: {"token-hash-present", Should, "OpenID Connect core 3.1.3.6",
		"at_hash is there"},
	tokenSubject: {"token-subject", Must, citeIDToken,
		"sub is a string of 1 to 255 printable ASCII characters"},
	tokenACR: {"token-acr", Should, citeIDToken + "; " + citeContract,
		"acr is " + DevicePosture},
	tokenAMR: {"token-amr", Must, citeIDToken,
		"amr, if it is there, is an array of strings"},
	tokenAMRPresent: {"token-amr-present", Should, "Okta: claims sharing needs amr",
		"amr is there"},
	deviceContext: {"device-context", Must, citeOIDC,
		ClaimDeviceContext + " is a JSON object"},
	contextManaged: {"device-context-managed", Must, citeOIDC,
		`managed is true or false, not the string "true" nor a number`},
	contextCompliant: {"device-context-compliant", Must, citeOIDC,
		`compliant, if it is there, is true or false, not the string "true" nor a number`},
	contextCompliantPresent: {"device-context-compliant-present", Should, citeOIDC,
		"compliant is there"},
	contextID: {"device-context-id", Must, citeOIDC,
		"externalId, if it is there, is a string that is not empty"},
	contextIDPresent: {"device-context-id-present", Should, citeOIDC,
		"a managed device has an externalId"},
	appContext: {"token-app-context", Must, citeContext,
		"each part of the application context that was sent is a claim of the same name and exactly the same value"},
	appContextNames: {"token-app-context-names", Should, citeContext,
		"whatever the parameters were called, the claims " + ClaimAppInstanceID + " and " + ClaimAppName + " are there as well"},
	userInfoJSON: {"userinfo-json", Must, "OpenID Connect core 5.3.2; RFC 8259 section 4",
		"UserInfo is one JSON object in UTF-8 in which no name stands twice"},
	userInfoSubject: {"userinfo-subject", Must, "OpenID Connect core 5.3.2",
		"sub of UserInfo is exactly that of the ID token"},
	userInfoContext: {"userinfo-device-context", Must, citeOIDC + "; Okta reads ID token and UserInfo and does not say which wins",
		ClaimDeviceContext + " of UserInfo, if it is there, is that of the ID token"},
	userInfoContextPresent: {"userinfo-device-context-present", Should, citeOIDC,
		ClaimDeviceContext + " is in UserInfo as well"},
	userInfoClaims: {"userinfo-claims", Should, "Okta reads ID token and UserInfo and does not say which wins",
		"what UserInfo and the ID token both claim is the same in both"},
}

// broken makes the finding that requirement r is broken.
func broken(r int, format string, args ...any) Finding {
	q := &requirements[r]
	return Finding{ID: q.ID, Severity: q.Severity, Citation: q.Citation, Message: fmt.Sprintf(format, args...)}
}
