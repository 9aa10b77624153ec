package saml_test

import (
	"encoding/base64"
	"strings"
)

func signatureRequests() []reqVector {
	signed := reqSigner{}.sign(reqBase)
	invalid, shape, algorithm := "bad request: signature_invalid", "bad request: signature_shape", "bad request: signature_algorithm"
	by := func(s reqSigner) func() string { return func() string { return s.sign(reqBase) } }
	return []reqVector{
		{"tampered-nameid.xml", "bad request: signature_digest", "another user after signing", func() string { return change(signed, "user@", "boss@") }},
		{"tampered-id.xml", "bad request: signature_reference", "another ID after signing", func() string { return change(signed, `ID="id1"`, `ID="id2"`) }},
		{"tampered-whitespace.xml", "bad request: signature_digest", "white space added after signing", func() string { return change(signed, "</saml:Subject>", "</saml:Subject>\n") }},
		{"tampered-digest.xml", invalid, "another digest after signing", func() string {
			other := reqSigner{}.sign(change(reqBase, "user@", "boss@"))
			return change(signed, between(signed, "<ds:DigestValue>"), between(other, "<ds:DigestValue>"))
		}},
		{"wrong-key.xml", invalid, "a key that is not registered, and its certificate in KeyInfo", by(reqSigner{key: "other",
			object: "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>" + base64Cert("other") + "</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"})},
		{"keyinfo-other.xml", "accepted", "the right key, another certificate in KeyInfo, which is not read", by(reqSigner{
			object: "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>" + base64Cert("other") + "</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"})},
		{"sha1-signature.xml", algorithm, "RSA with SHA-1", by(reqSigner{method: xmldsig + "rsa-sha1"})},
		{"sha1-digest.xml", algorithm, "digest SHA-1, without the switch for it", by(reqSigner{digest: xmldsig + "sha1"})},
		{"hmac.xml", algorithm, "HMAC with the registered certificate as its key", by(reqSigner{method: moreSig + "hmac-sha256"})},
		{"algorithm-mixed.xml", invalid, "RSA signature named ECDSA", func() string {
			return strings.Replace(signed, "rsa-sha256", "ecdsa-sha256", 1)
		}},
		{"ecdsa-asn1.xml", invalid, "ECDSA in ASN.1 instead of r and s", by(reqSigner{key: "sp-ec", method: moreSig + "ecdsa-sha256", asn1: true})},
		{"ecdsa-long.xml", invalid, "ECDSA, r and s with a byte behind them", func() string {
			signed := reqSigner{key: "sp-ec", method: moreSig + "ecdsa-sha256"}.sign(reqBase)
			value, _ := base64.StdEncoding.DecodeString(between(signed, "<ds:SignatureValue>"))
			return change(signed, between(signed, "<ds:SignatureValue>"), base64.StdEncoding.EncodeToString(append(value, 0)))
		}},
		{"inclusive-c14n.xml", algorithm, "inclusive canonicalisation", by(reqSigner{c14n: "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"})},
		{"c14n-comments.xml", algorithm, "exclusive canonicalisation with comments", by(reqSigner{c14n: c14nExc + "WithComments"})},
		{"transform-xpath.xml", algorithm, "an XPath transform first", by(reqSigner{first: "http://www.w3.org/TR/1999/REC-xpath-19991116"})},
		{"transform-one.xml", shape, "enveloped-signature alone", by(reqSigner{transform: `<ds:Transform Algorithm="` + enveloped + `"></ds:Transform>`})},
		{"transform-order.xml", algorithm, "transforms in the other order", by(reqSigner{transform: `<ds:Transform Algorithm="` + c14nExc +
			`"></ds:Transform><ds:Transform Algorithm="` + enveloped + `"></ds:Transform>`})},
		{"transform-three.xml", shape, "a third transform", by(reqSigner{transform: `<ds:Transform Algorithm="` + enveloped + `"></ds:Transform>` +
			strings.Repeat(`<ds:Transform Algorithm="`+c14nExc+`"></ds:Transform>`, 2)})},
		{"reference-empty.xml", "bad request: signature_reference", "Reference to the whole document by an empty URI", func() string {
			return change(signed, `URI="#id1"`, `URI=""`)
		}},
		{"reference-external.xml", "bad request: signature_reference", "Reference to a URL, which nobody fetches", by(reqSigner{uri: "https://sp.example.com/x"})},
		{"reference-xpointer.xml", "bad request: signature_reference", "Reference by xpointer", by(reqSigner{uri: "#xpointer(id('id1'))"})},
		{"reference-two.xml", shape, "a second Reference", by(reqSigner{info: `<ds:Reference URI="#id1"></ds:Reference>`})},
		{"reference-manifest.xml", shape, "Reference of Type Manifest", by(reqSigner{refAttr: ` Type="http://www.w3.org/2000/09/xmldsig#Manifest"`})},
		{"object.xml", shape, "ds:Object in the Signature", by(reqSigner{object: "<ds:Object></ds:Object>"})},
		{"signedinfo-missing.xml", shape, "Signature without SignedInfo", edited(reqIssuer, reqIssuer+`<ds:Signature xmlns:ds="`+xmldsig+`"/>`)},
		{"signature-empty-value.xml", invalid, "empty SignatureValue", func() string {
			return change(signed, between(signed, "<ds:SignatureValue>"), "")
		}},
		{"two-signatures.xml", "bad request: signature_duplicate", "the Signature twice", func() string {
			return change(signed, "</ds:Signature>", "</ds:Signature>"+reqSigner{}.signature(reqBase))
		}},
		{"signed-no-destination.xml", "bad request: destination_missing", "signed, without Destination", func() string {
			return reqSigner{}.sign(change(reqBase, ` Destination="https://posture.example.com/saml/sso"`, ""))
		}},
		{"tampered.query", invalid, "another user after signing", func() string {
			q := reqSigner{}.query(reqBase, "r")
			return query(change(reqBase, "user@", "boss@")) + q[strings.Index(q, "&RelayState"):]
		}},
		{"tampered-relaystate.query", invalid, "another RelayState after signing", func() string {
			return change(reqSigner{}.query(reqBase, "r"), "RelayState=r", "RelayState=s")
		}},
		{"dropped-relaystate.query", invalid, "RelayState removed after signing", func() string {
			return change(reqSigner{}.query(reqBase, "r"), "&RelayState=r", "")
		}},
		{"recoded.query", invalid, "the same values, encoded otherwise after signing", func() string {
			return change(reqSigner{}.query(reqBase, "r"), "http%3A%2F%2F", "http%3a%2f%2f")
		}},
		{"wrong-key.query", invalid, "a key that is not registered", func() string { return reqSigner{key: "other"}.query(reqBase) }},
		{"sha1.query", algorithm, "RSA with SHA-1", func() string { return reqSigner{method: xmldsig + "rsa-sha1"}.query(reqBase) }},
		{"hmac.query", algorithm, "HMAC", func() string { return reqSigner{method: moreSig + "hmac-sha256"}.query(reqBase) }},
		{"ecdsa-asn1.query", invalid, "ECDSA in ASN.1 instead of r and s", func() string {
			return reqSigner{key: "sp-ec", method: moreSig + "ecdsa-sha256", asn1: true}.query(reqBase)
		}},
		{"no-sigalg.query", "bad request: signature_incomplete", "Signature without SigAlg", func() string { return query(reqBase, "Signature", "AAAA") }},
		{"no-signature.query", "bad request: signature_incomplete", "SigAlg without Signature", func() string { return query(reqBase, "SigAlg", moreSig+"rsa-sha256") }},
		{"twice-signature.query", "bad request: duplicate_parameter", "Signature twice", func() string { return reqSigner{}.query(reqBase) + "&Signature=AAAA" }},
		{"enveloped.query", "bad request: signature_misplaced", "ds:Signature by HTTP-Redirect", func() string { return query(signed) }},
		{"signed-no-destination.query", "bad request: destination_missing", "signed, without Destination", func() string {
			return reqSigner{}.query(change(reqBase, ` Destination="https://posture.example.com/saml/sso"`, ""))
		}},
	}
}

// between gives the text between a start tag and what follows it.
func between(doc, tag string) string {
	rest := doc[strings.Index(doc, tag)+len(tag):]
	return rest[:strings.IndexByte(rest, '<')]
}

// wrappedRequests are the ways to keep a good signature and have something else
// read ("On Breaking SAML: Be Whoever You Want to Be", USENIX Security 2012).
func wrappedRequests() []reqVector {
	signed := reqSigner{}.sign(reqBase)
	signature := signed[strings.Index(signed, "<ds:Signature"):strings.Index(signed, "<saml:Subject")]
	evil := change(reqBase, "user@", "boss@")
	evilID := change(evil, `ID="id1"`, `ID="evil"`)
	inExtensions := func(outer, sig, inner string) func() string {
		return func() string {
			return change(outer, reqIssuer, reqIssuer+sig+"<samlp:Extensions>"+inner+"</samlp:Extensions>")
		}
	}
	inObject := change(signature, "</ds:Signature>", "<ds:Object>"+reqBase+"</ds:Object></ds:Signature>")
	return []reqVector{
		{"xsw-1.xml", "bad request: signature_misplaced", "the signed request, whole, in Extensions of another", inExtensions(evilID, "", signed)},
		{"xsw-2.xml", "bad request: signature_reference", "the signature in another request, what it signs in Extensions", inExtensions(evilID, signature, reqBase)},
		{"xsw-3.xml", "bad request: id_duplicate", "the same, both with the same ID", inExtensions(evil, signature, reqBase)},
		{"xsw-4.xml", "bad request: signature_shape", "what is signed in a ds:Object of the signature", func() string { return change(evilID, reqIssuer, reqIssuer+inObject) }},
		{"xsw-5.xml", "bad request: id_duplicate", "the same, both with the same ID", func() string { return change(evil, reqIssuer, reqIssuer+inObject) }},
		{"xsw-6.xml", "bad request: signature_reference", "what is signed in KeyInfo", func() string {
			return change(evilID, reqIssuer, reqIssuer+change(signature, "</ds:Signature>", "<ds:KeyInfo>"+reqBase+"</ds:KeyInfo></ds:Signature>"))
		}},
		{"xsw-7.xml", "bad request: signature_misplaced", "another request around the signed one", func() string {
			return evilID[:strings.IndexByte(evilID, '>')+1] + reqIssuer + "<samlp:Extensions>" + signed + "</samlp:Extensions></samlp:AuthnRequest>"
		}},
		{"xsw-8.xml", "bad request: unexpected_element", "what is signed beside the children of another", func() string {
			return change(evilID, reqIssuer, reqIssuer+signature, "</samlp:AuthnRequest>", reqBase+"</samlp:AuthnRequest>")
		}},
		{"xsw-id-case.xml", "bad request: id_duplicate", "the same ID by an attribute named Id", inExtensions(change(reqBase, "user@", "boss@"), signature, `<a Id="id1"/>`)},
		{"xsw-xml-id.xml", "bad request: id_duplicate", "the same ID by xml:id", inExtensions(change(reqBase, "user@", "boss@"), signature, `<a xml:id="id1"/>`)},
	}
}
