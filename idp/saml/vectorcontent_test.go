package saml_test

func contentRequests() []reqVector {
	const at = `"2026-11-22T16:00:00.000Z"`
	duplicate, malformed := "bad request: duplicate_element", "bad request: malformed"
	subject := `<saml:Subject ` + samlNS + `>` + reqNameID + `</saml:Subject>`
	return []reqVector{
		{"other-message.xml", "bad request: not_authnrequest", "a LogoutRequest", func() string {
			return change(change(reqBase, "samlp:AuthnRequest", "samlp:LogoutRequest"), "/samlp:AuthnRequest", "/samlp:LogoutRequest")
		}},
		{"other-namespace.xml", "bad request: not_authnrequest", "AuthnRequest of SAML 1", edited("SAML:2.0:protocol", "SAML:1.0:protocol")},
		{"issuer-missing.xml", "bad request: issuer_missing", "no Issuer", edited(reqIssuer, "")},
		{"issuer-empty.xml", "bad request: issuer_invalid", "empty Issuer", edited("https://sp.example.com/metadata", "  ")},
		{"issuer-format.xml", "bad request: issuer_invalid", "Issuer that is no entity", edited("<saml:Issuer", `<saml:Issuer Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"`)},
		{"issuer-twice.xml", duplicate, "two Issuers", edited(reqIssuer, reqIssuer+reqIssuer)},
		{"issuer-other.xml", "bad request: issuer_mismatch", "an Issuer that is not registered", edited("sp.example.com/metadata", "sp.example.org/metadata")},
		{"subject-twice.xml", duplicate, "two Subjects", edited(subject, subject+subject)},
		{"nameid-twice.xml", duplicate, "two NameIDs", edited(reqNameID, reqNameID+reqNameID)},
		{"nameid-nested.xml", malformed, "element in the NameID", edited("user@", "<saml:x>admin</saml:x>user@")},
		{"nameid-empty.xml", "bad request: nameid_invalid", "empty NameID", edited("user@example.com", "\n")},
		{"nameid-long.xml", "bad request: nameid_invalid", "NameID of 1,025 bytes", edited("user@example.com", numbered("%", 512)+"x")},
		{"issuer-long.xml", "bad request: issuer_invalid", "Issuer of 1,025 bytes", edited("https://sp.example.com/metadata", numbered("%", 512)+"x")},
		{"application-long.xml", "bad request: too_large", "OktaAppName of 1,025 bytes", edited(reqIssuer,
			reqIssuer+"<samlp:Extensions><OktaAppName>"+numbered("%", 512)+"x</OktaAppName></samlp:Extensions>")},
		{"policy-content.xml", malformed, "element in NameIDPolicy", edited("</samlp:NameIDPolicy>", "<a/></samlp:NameIDPolicy>")},
		{"subject-empty.xml", malformed, "empty Subject", edited(reqNameID, "")},
		{"text-in-request.xml", malformed, "text between the elements", edited(reqIssuer, reqIssuer+"x")},
		{"unknown-element.xml", "bad request: unexpected_element", "an element that AuthnRequest does not have", edited(reqIssuer, reqIssuer+"<a/>")},
		{"id-missing.xml", "bad request: id_invalid", "no ID", edited(` ID="id1"`, "")},
		{"id-invalid.xml", "bad request: id_invalid", "ID that begins with a digit", edited(`"id1"`, `"1"`)},
		{"id-long.xml", "bad request: id_invalid", "ID of 257 characters", edited(`"id1"`, `"`+numbered("%", 128)+`x"`)},
		{"stale.xml", "bad request: stale", "issued 5 minutes and a second ago", edited(at, `"2026-11-22T15:54:59Z"`)},
		{"future.xml", "bad request: future", "issued 61 seconds ahead", edited(at, `"2026-11-22T16:01:01Z"`)},
		{"time-offset.xml", "bad request: time_invalid", "IssueInstant with an offset", edited(at, `"2026-11-22T17:00:00+01:00"`)},
		{"time-missing.xml", "bad request: time_invalid", "no IssueInstant", edited(" IssueInstant="+at, "")},
		{"time-odd.xml", "bad request: time_invalid", "IssueInstant with a comma", edited(at, `"2026-11-22T16:00:00,5Z"`)},
		{"version-missing.xml", "bad request: version_invalid", "no Version", edited(` Version="2.0"`, "")},
		{"version-odd.xml", "bad request: version_invalid", "Version that is no version", edited(`"2.0"`, `"two"`)},
		{"forceauthn-odd.xml", "bad request: boolean_invalid", "ForceAuthn that is no boolean", edited(`ForceAuthn="true"`, `ForceAuthn="yes"`)},
		{"ispassive-odd.xml", "bad request: boolean_invalid", "IsPassive that is no boolean", edited(`ForceAuthn="true"`, `IsPassive="TRUE"`)},
		{"allowcreate-odd.xml", "bad request: boolean_invalid", "AllowCreate that is no boolean", edited(`<samlp:NameIDPolicy`, `<samlp:NameIDPolicy AllowCreate=""`)},
		{"destination-wrong.xml", "bad request: destination_wrong", "for another endpoint", edited("posture.example.com/saml/sso", "posture.example.com/saml/sso/")},
		{"acs-foreign.xml", "bad request: acs_unknown", "an assertion consumer service that is not registered", edited(reqConsumer, `AssertionConsumerServiceURL="https://sp.example.org/acs"`)},
		{"acs-prefix.xml", "bad request: acs_unknown", "an address below a registered one", edited(reqConsumer, `AssertionConsumerServiceURL="https://sp.example.com/acs/x"`)},
		{"acs-index-unknown.xml", "bad request: acs_unknown", "an index that is not registered", edited(reqConsumer, `AssertionConsumerServiceIndex="1"`)},
		{"acs-index-odd.xml", "bad request: acs_unknown", "an index that is no number", edited(reqConsumer, `AssertionConsumerServiceIndex="+7"`)},
		{"acs-both.xml", "bad request: acs_ambiguous", "URL and index", edited(reqConsumer, reqConsumer+` AssertionConsumerServiceIndex="0"`)},
		{"acs-index-binding.xml", "bad request: acs_ambiguous", "index and binding", edited(reqConsumer,
			`AssertionConsumerServiceIndex="0" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"`)},
		{"context-odd.xml", "bad request: comparison_invalid", "a Comparison that there is not", edited(`"minimum"`, `"stronger"`)},
		{"context-empty.xml", malformed, "RequestedAuthnContext without a class", edited(
			`<saml:AuthnContextClassRef `+samlNS+`>urn:okta:saml:2.0:DevicePosture</saml:AuthnContextClassRef>`, "")},
		{"context-both.xml", malformed, "class and declaration", edited("</saml:AuthnContextClassRef>",
			`</saml:AuthnContextClassRef><saml:AuthnContextDeclRef `+samlNS+`>urn:x</saml:AuthnContextDeclRef>`)},
		{"context-twice.xml", duplicate, "two RequestedAuthnContexts", edited("</samlp:AuthnRequest>", `<samlp:RequestedAuthnContext/></samlp:AuthnRequest>`)},
		{"application-twice.xml", duplicate, "OktaAppName twice", edited(reqIssuer, reqIssuer+"<samlp:Extensions><OktaAppName>a</OktaAppName><OktaAppName>a</OktaAppName></samlp:Extensions>")},
	}
}

func statusRequests() []reqVector {
	confirm := func(s string) func() string {
		return edited(reqNameID, reqNameID+"<saml:SubjectConfirmation Method=\""+s)
	}
	context, policy := "status: NoAuthnContext", "status: InvalidNameIDPolicy"
	return []reqVector{
		{"version-1.xml", "status: RequestVersionTooLow", "Version 1.1", edited(`"2.0"`, `"1.1"`)},
		{"version-3.xml", "status: RequestVersionTooHigh", "Version 3.0", edited(`"2.0"`, `"3.0"`)},
		{"version-2-1.xml", "status: RequestVersionTooHigh", "Version 2.1", edited(`"2.0"`, `"2.1"`)},
		{"binding-artifact.xml", "status: UnsupportedBinding", "answer wanted by HTTP-Artifact", edited(reqConsumer, reqConsumer+` ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact"`)},
		{"binding-artifact-foreign.xml", "status: UnsupportedBinding", "the same, at an address that is not registered: the default one is answered", edited(reqConsumer,
			`AssertionConsumerServiceURL="https://sp.example.org/acs" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact"`)},
		{"context-better.xml", context, "Comparison better: nothing is", edited(`"minimum"`, `"better"`)},
		{"context-other.xml", context, "another class", edited("urn:okta:saml:2.0:DevicePosture", "urn:oasis:names:tc:SAML:2.0:ac:classes:Password")},
		{"context-other-exact.xml", context, "another class, Comparison exact", edited("urn:okta:saml:2.0:DevicePosture", "urn:x", `"minimum"`, `"exact"`)},
		{"context-other-maximum.xml", context, "another class, Comparison maximum", edited("urn:okta:saml:2.0:DevicePosture", "urn:x", `"minimum"`, `"maximum"`)},
		{"context-decl.xml", context, "a declaration of our name", edited("<saml:AuthnContextClassRef", "<saml:AuthnContextDeclRef", "</saml:AuthnContextClassRef", "</saml:AuthnContextDeclRef")},
		{"policy-kerberos.xml", policy, "NameIDPolicy asks for a Kerberos name", edited("1.1:nameid-format:unspecified", "2.0:nameid-format:kerberos")},
		{"policy-encrypted.xml", policy, "NameIDPolicy asks for an encrypted name", edited("1.1:nameid-format:unspecified", "2.0:nameid-format:encrypted")},
		{"policy-qualifier.xml", policy, "NameIDPolicy asks for a name among an affiliation", edited("<samlp:NameIDPolicy", `<samlp:NameIDPolicy SPNameQualifier="https://affiliation.example.com"`)},
		{"subject-baseid.xml", "status: RequestUnsupported", "BaseID", edited(reqNameID, "<saml:BaseID/>")},
		{"subject-encrypted.xml", "status: RequestUnsupported", "EncryptedID", edited(reqNameID, "<saml:EncryptedID/>")},
		{"confirmation-holder.xml", "status: RequestUnsupported", "holder-of-key confirmation", confirm(`urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"/>`)},
		{"confirmation-data.xml", "status: RequestUnsupported", "bearer confirmation with conditions of its own",
			confirm(`urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData Address="192.0.2.1"/></saml:SubjectConfirmation>`)},
		{"conditions.xml", "status: RequestUnsupported", "Conditions on the assertion", edited("<samlp:NameIDPolicy", `<saml:Conditions `+samlNS+` NotOnOrAfter="2026-11-22T16:00:30Z"/><samlp:NameIDPolicy`)},
		{"signed-context-other.xml", context, "another class, signed", func() string { return reqSigner{}.sign(change(reqBase, "urn:okta:saml:2.0:DevicePosture", "urn:x")) }},
		{"context-other.query", context, "another class by HTTP-Redirect, signed", func() string {
			return reqSigner{}.query(change(reqBase, "urn:okta:saml:2.0:DevicePosture", "urn:x"), "r")
		}},
		{"refused-and-unbelieved.xml", "bad request: signature_invalid", "another class, and the signature of a stranger: no SAML", func() string {
			return reqSigner{key: "other"}.sign(change(reqBase, "urn:okta:saml:2.0:DevicePosture", "urn:x"))
		}},
	}
}
