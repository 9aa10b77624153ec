package main

import (
	"fmt"

	"gatepost.dev/posture"
)

// validateParties finds the faults of the relying parties.
func (c *Config) validateParties(f *findings) {
	names, clients := map[string]string{}, map[string]string{}
	for i := range c.RelyingParties {
		rp, path := &c.RelyingParties[i], fmt.Sprintf("relying_parties[%d]", i)
		if require(f, path+".name", rp.Name, "write name: and what commands and logs call it") {
			if !nameForm.MatchString(rp.Name) {
				f.add(path+".name", quote(rp.Name)+" "+nameProblem, nameInstead)
			}
			once(f, path+".name", rp.Name, "name", path, names)
		}
		c.validatePolicyName(f, path+".policy", rp.Policy)
		c.validateApplications(f, rp, path)
		if rp.OnNoncompliant == "explain" && !c.anyDemands(rp) && !f.faulty(path) && !f.faulty("policies") {
			f.warn(path+".on_noncompliant", "explains nothing: its policy "+quote(rp.Policy)+" has no rules, baselines, os_version or facts", "write some, or assert here")
		}
		if f.written(path + ".oidc") {
			if rp.validateOIDC(f, path) {
				once(f, path+".oidc.client_id", rp.OIDC.ClientID, "client ID", path, clients)
			}
		} else {
			rp.validateSAML(f, path)
		}
		rp.validateAnswers(f, path)
	}
}

// once wants a value that no relying party before has. first holds those, each
// with its relying party's path.
func once(f *findings, path, value, what, party string, first map[string]string) {
	if other, again := first[value]; again {
		f.add(path, quote(value)+" is the "+what+" of "+other+" as well", "write another "+what+", or delete one of them")
		return
	}
	first[value] = party
}

func (rp *RelyingParty) validateSAML(f *findings, path string) {
	require(f, path+".saml.metadata", rp.SAML.Metadata,
		"write saml: { metadata: acme-sp.xml }, the file downloaded from Okta, or oidc: for OpenID Connect")
	if rp.AllowSHA1Digests {
		f.warn(path+".allow_sha1_digests", "accepts requests with digests that can be forged",
			"delete it once Okta signs requests with SHA-256")
	}
	oneOf(f, path+".sign", rp.Sign, "both", "assertion", "response")
	oneOf(f, path+".use", rp.Use, usePosture, useFactor, useBoth)
	if rp.Use == useFactor {
		for key, value := range map[string]string{"on_unmanaged": rp.OnUnmanaged, "on_noncompliant": rp.OnNoncompliant} {
			if f.written(path+"."+key) && value == "assert" {
				f.add(path+"."+key, "is assert, and a factor asserts only good devices", "delete it")
			}
		}
	}
}

// The values of RelyingParty.Use.
const (
	usePosture = "posture"
	useFactor  = "factor"
	useBoth    = "both"
)

func (rp *RelyingParty) validateAnswers(f *findings, path string) {
	oneOf(f, path+".on_unmanaged", rp.OnUnmanaged, "refuse", "assert")
	oneOf(f, path+".bind_owner", string(rp.BindOwner), string(posture.BindOff), string(posture.BindWarn), string(posture.BindEnforce))
	oneOf(f, path+".on_noncompliant", rp.OnNoncompliant, "assert", "explain", "refuse")
}
