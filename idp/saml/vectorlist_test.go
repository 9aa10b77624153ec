package saml_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"strings"
)

const (
	samlNS      = `xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"`
	reqIssuer   = `<saml:Issuer ` + samlNS + `>https://sp.example.com/metadata</saml:Issuer>`
	reqNameID   = `<saml:NameID>user@example.com</saml:NameID>`
	reqConsumer = `AssertionConsumerServiceURL="https://sp.example.com/acs"`
)

// edited makes an unsigned POST document.
func edited(pairs ...string) func() string { return func() string { return change(reqBase, pairs...) } }

func acceptedRequests() []reqVector {
	const ok = "accepted"
	indexed := change(reqBase, reqConsumer, `AssertionConsumerServiceIndex="7"`)
	return []reqVector{
		{"unsigned.xml", ok, "no signature, from a relying party that does not promise any", edited()},
		{"unsigned.query", ok, "the same by HTTP-Redirect", func() string { return query(reqBase) }},
		{"declaration.xml", ok, "XML declaration, white space around the root", func() string {
			return "<?xml version=\"1.0\" encoding=\"utf-8\" standalone='yes'?>\n" + reqBase + "\r\n"
		}},
		{"padded.xml", ok, "white space around Issuer, NameID and class; Subject after NameIDPolicy", func() string {
			doc := change(reqBase, ">https://sp.example.com/metadata<", ">\n https://sp.example.com/metadata\t<", reqNameID, "<saml:NameID>\nuser@example.com\n</saml:NameID>",
				"urn:okta:saml:2.0:DevicePosture<", "\r\nurn:okta:saml:2.0:DevicePosture <")
			subject := doc[strings.Index(doc, "<saml:Subject"):strings.Index(doc, "<samlp:NameIDPolicy")]
			return change(change(doc, subject, ""), "</samlp:NameIDPolicy>", "</samlp:NameIDPolicy>"+subject)
		}},
		{"cdata.xml", ok, "NameID in a CDATA section", edited("user@example.com", "<![CDATA[user]]>@example<![CDATA[.com]]>")},
		{"no-destination.xml", ok, "unsigned and without Destination", edited(` Destination="https://posture.example.com/saml/sso"`, "")},
		{"acs-index.xml", ok, "assertion consumer service by index", func() string { return indexed }},
		{"acs-default.xml", ok, "no assertion consumer service named", edited(reqConsumer+" ", "")},
		{"minimal.xml", ok, "nothing but what must be there", func() string {
			return `<AuthnRequest xmlns="urn:oasis:names:tc:SAML:2.0:protocol" ID="id1" IssueInstant="2026-11-22T16:00:00Z" Version="2.0">` + reqIssuer + `</AuthnRequest>`
		}},
		{"context-exact.xml", ok, "Comparison exact, which is the default", edited(` Comparison="minimum"`, "")},
		{"context-maximum.xml", ok, "Comparison maximum", edited(`"minimum"`, `"maximum"`)},
		{"context-among-others.xml", ok, "our class after another", edited("<saml:AuthnContextClassRef",
			"<saml:AuthnContextClassRef "+samlNS+">urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef><saml:AuthnContextClassRef")},
		{"nameid-transient.xml", ok, "NameIDPolicy asks for a transient name, as lasso does", edited("1.1:nameid-format:unspecified", "2.0:nameid-format:transient")},
		{"bearer.xml", ok, "Subject with a bearer confirmation", edited(reqNameID, reqNameID+`<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"/>`)},
		{"scoping.xml", ok, "Scoping, which is about other providers", edited("</samlp:AuthnRequest>", `<samlp:Scoping ProxyCount="0"/></samlp:AuthnRequest>`)},
		{"application.xml", ok, "Okta's application context, white space and all", edited(reqIssuer,
			reqIssuer+`<samlp:Extensions><o:OktaAppInstanceId xmlns:o="urn:any">0oa1 </o:OktaAppInstanceId><OktaAppName> Acme  HR </OktaAppName></samlp:Extensions>`)},
		{"signed-rsa-sha256.xml", ok, "RSA with SHA-256", func() string { return reqSigner{}.sign(reqBase) }},
		{"signed-rsa-sha384.xml", ok, "RSA with SHA-384, digest too", func() string {
			return reqSigner{method: moreSig + "rsa-sha384", digest: moreSig + "sha384"}.sign(reqBase)
		}},
		{"signed-rsa-sha512.xml", ok, "RSA with SHA-512, digest too", func() string {
			return reqSigner{method: moreSig + "rsa-sha512", digest: xmlenc + "sha512"}.sign(reqBase)
		}},
		{"signed-ecdsa-sha256.xml", ok, "ECDSA with SHA-256, r and s", func() string {
			return reqSigner{key: "sp-ec", method: moreSig + "ecdsa-sha256"}.sign(reqBase)
		}},
		{"signed-prefixlist.xml", ok, "PrefixList in both canonicalisations", func() string {
			return reqSigner{prefixes: "xs samlp",
				inherited: ` xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:xs="http://www.w3.org/2001/XMLSchema"`,
			}.sign(change(reqBase, reqConsumer, `xmlns:xs="http://www.w3.org/2001/XMLSchema" `+reqConsumer))
		}},
		{"signed-rsa-sha256.query", ok, "RSA with SHA-256, with RelayState", func() string { return reqSigner{}.query(reqBase, "https://sp.example.com/a?b=c&d=é") }},
		{"signed-rsa-sha512.query", ok, "RSA with SHA-512, without RelayState", func() string { return reqSigner{method: moreSig + "rsa-sha512"}.query(reqBase) }},
		{"signed-ecdsa-sha256.query", ok, "ECDSA with SHA-256, r and s", func() string {
			return reqSigner{key: "sp-ec", method: moreSig + "ecdsa-sha256"}.query(reqBase, "r")
		}},
		{"signed-other-parameters.query", ok, "parameters that the binding does not name, before, between and after", func() string {
			return "a=1&" + change(reqSigner{}.query(reqBase, "r"), "&RelayState", "&samlrequest=x&RelayState") + "&a=2"
		}},
	}
}

func wellFormednessRequests() []reqVector {
	return []reqVector{
		{"doctype.xml", "bad request: doctype", "document type declaration", func() string { return "<!DOCTYPE a>" + reqBase }},
		{"entities.xml", "bad request: doctype", "entities that multiply", func() string {
			return `<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;">]>` + change(reqBase, "user@", "&y;@")
		}},
		{"entity-undeclared.xml", "bad request: malformed", "an entity that XML does not know", edited("user@", "&auml;@")},
		{"comment-nameid.xml", "bad request: comment", "comment in the NameID", edited("user@example.com", "user@example.com<!-- -->.evil.com")},
		{"comment-after.xml", "bad request: comment", "comment after the root", func() string { return reqBase + "<!-- -->" }},
		{"pi.xml", "bad request: processing_instruction", "processing instruction in the NameID", edited("user@", "us<?x y?>er@")},
		{"declaration-late.xml", "bad request: processing_instruction", "XML declaration after a newline", func() string { return "\n<?xml version=\"1.0\"?>" + reqBase }},
		{"declaration-latin1.xml", "bad request: malformed", "declares another encoding", func() string { return `<?xml version="1.0" encoding="iso-8859-1"?>` + reqBase }},
		{"declaration-odd.xml", "bad request: encoding", "declaration with more than XML has", func() string { return `<?xml version="1.0" encoding="utf-8" x="y"?>` + reqBase }},
		{"utf8.xml", "bad request: encoding", "invalid UTF-8", edited("user@", "us\xffer@")},
		{"surrogate.xml", "bad request: malformed", "reference to half a surrogate pair", edited("user@", "us&#xD800;er@")},
		{"control.xml", "bad request: malformed", "reference to a control character", edited("user@", "us&#1;er@")},
		{"duplicate-attribute.xml", "bad request: duplicate_attribute", "ID twice", edited(` ID="id1"`, ` ID="id1" ID="id1"`)},
		{"duplicate-attribute-ns.xml", "bad request: duplicate_attribute", "the same attribute by two prefixes", edited(` ID="id1"`, ` ID="id1" xmlns:a="urn:x" xmlns:b="urn:x" a:z="" b:z=""`)},
		{"duplicate-declaration.xml", "bad request: duplicate_attribute", "a namespace declared twice", edited(` ID="id1"`, ` ID="id1" xmlns:a="urn:x" xmlns:a="urn:y"`)},
		{"undeclared-prefix.xml", "bad request: undeclared_prefix", "element with a prefix that nobody declared", edited(reqNameID, "<x:NameID>user@example.com</x:NameID>")},
		{"undeclared-attribute-prefix.xml", "bad request: undeclared_prefix", "attribute with a prefix that nobody declared", edited(` ID="id1"`, ` ID="id1" x:ID="id2"`)},
		{"prefix-out-of-scope.xml", "bad request: undeclared_prefix", "prefix declared by a sibling only", edited("<saml:Subject "+samlNS, "<saml:Subject")},
		{"two-roots.xml", "bad request: two_roots", "two documents in one", func() string { return reqBase + reqBase }},
		{"trailing.xml", "bad request: trailing_bytes", "text after the root", func() string { return reqBase + "x" }},
		{"trailing-reference.xml", "bad request: trailing_bytes", "reference to a space after the root", func() string { return reqBase + "&#32;" }},
		{"leading.xml", "bad request: trailing_bytes", "text before the root", func() string { return "x" + reqBase }},
		{"unclosed.xml", "bad request: malformed", "ends before the root does", func() string { return strings.TrimSuffix(reqBase, "</samlp:AuthnRequest>") }},
		{"crossed.xml", "bad request: malformed", "end tag of another prefix for the same namespace", edited("</saml:Issuer>", "</samlp:Issuer>")},
		{"empty.form", "bad request: parameter_missing", "SAMLRequest without a value", func() string { return "SAMLRequest=&RelayState=x" }},
		{"response-only.form", "bad request: parameter_missing", "a SAMLResponse, which is not for us", func() string { return strings.Replace(form(reqBase), "SAMLRequest", "SAMLResponse", 1) }},
		{"base64.form", "bad request: malformed", "SAMLRequest that is not base64", func() string { return "SAMLRequest=%3Cxml%3E" }},
		{"escape.form", "bad request: malformed", "SAMLRequest with a broken escape", func() string { return "SAMLRequest=AA%4" }},
		{"twice.form", "bad request: duplicate_parameter", "SAMLRequest twice", func() string { return form(reqBase) + "&SAMLRequest=x" }},
		{"twice-relaystate.form", "bad request: duplicate_parameter", "RelayState twice", func() string { return form(reqBase) + "&RelayState=x&RelayState=x" }},
		{"simplesign.form", "bad request: binding_unsupported", "HTTP-POST-SimpleSign", func() string {
			return form(reqBase, "SigAlg", moreSig+"rsa-sha256", "Signature", "AAAA")
		}},
		{"relaystate-long.form", "bad request: too_large", "RelayState of 8,193 bytes", func() string { return form(reqBase, "RelayState", strings.Repeat("x", 8193)) }},
		{"relaystate-utf8.form", "bad request: malformed", "RelayState that no form can echo", func() string { return form(reqBase) + "&RelayState=%ff" }},
		{"deep.xml", "bad request: too_large", "33 elements in each other", edited(reqIssuer, reqIssuer+"<samlp:Extensions>"+strings.Repeat("<a>", 31)+strings.Repeat("</a>", 31)+"</samlp:Extensions>")},
		{"many-elements.xml", "bad request: too_large", "more than 512 elements", edited(reqIssuer, reqIssuer+"<samlp:Extensions>"+strings.Repeat("<a/>", 512)+"</samlp:Extensions>")},
		{"many-attributes.xml", "bad request: too_large", "more than 32 attributes", edited(` ID="id1"`, ` ID="id1"`+numbered(` a%="x"`, 30))},
		{"many-namespaces.xml", "bad request: too_large", "more than 64 namespaces in scope", edited(reqIssuer, reqIssuer+"<samlp:Extensions"+
			numbered(` xmlns:a%="urn:x"`, 30)+"><a"+numbered(` xmlns:b%="urn:x"`, 30)+"><a"+numbered(` xmlns:c%="urn:x"`, 30)+"/></a></samlp:Extensions>")},
		{"bomb.query", "bad request: too_large", "inflates to a megabyte", func() string { return query(strings.Repeat(" ", 1<<20)) }},
		{"encoding-unknown.query", "bad request: encoding_unsupported", "SAMLEncoding other than DEFLATE", func() string { return query(reqBase, "SAMLEncoding", "urn:x") }},
		{"encoded-name.query", "bad request: malformed", "a parameter name that is percent-encoded", func() string { return query(reqBase) + "&%53ignature=AAAA" }},
		{"twice.query", "bad request: duplicate_parameter", "SAMLRequest twice", func() string { return query(reqBase) + "&SAMLRequest=x" }},
		{"not-deflated.query", "bad request: malformed", "not compressed", func() string { return form(reqBase) }},
		{"unfinished.query", "bad request: malformed", "DEFLATE stream that does not end", func() string {
			var b bytes.Buffer
			w, _ := flate.NewWriter(&b, flate.BestCompression)
			w.Write([]byte(reqBase))
			w.Flush()
			return encodePairs("SAMLRequest", base64.StdEncoding.EncodeToString(b.Bytes()))
		}},
		{"trailing.query", "bad request: trailing_bytes", "bytes after the DEFLATE stream", func() string {
			return encodePairs("SAMLRequest", strings.TrimRight(deflate(reqBase+deflatePad(reqBase)), "=")+"AAAA")
		}},
	}
}

// deflatePad gives the white space after doc that makes its compressed form a
// multiple of three bytes, so that base64 can simply be added to.
func deflatePad(doc string) string {
	for pad := ""; ; pad += "\n" {
		if !strings.HasSuffix(deflate(doc+pad), "=") {
			return pad
		}
	}
}

// numbered repeats s n times with a number for each "%".
func numbered(s string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(s, "%", string(rune('a'+i/26))+string(rune('a'+i%26))))
	}
	return b.String()
}
