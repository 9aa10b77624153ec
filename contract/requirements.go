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

// Requirements returns every requirement that ParsePosture checks, in the order
// in which it checks them. Posture.Check checks those of them that a typed value
// can break.
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
	requirementCount
)

const (
	citeContract = "Okta device posture data contract"
	citeSample   = "Okta device posture data contract, sample response"
	citeSchema   = "Okta device posture data contract, device-posture.xsd"
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
}

// broken makes the finding that requirement r is broken.
func broken(r int, format string, args ...any) Finding {
	q := &requirements[r]
	return Finding{ID: q.ID, Severity: q.Severity, Citation: q.Citation, Message: fmt.Sprintf(format, args...)}
}
