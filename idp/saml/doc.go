// Package saml is SAML 2.0 as bytes and keys: an AuthnRequest comes in, is
// scanned strictly and believed only as far as a relying party's registered
// metadata allow; a Response goes out, checked before it can be signed; metadata
// are read and written.
//
// It is no HTTP server and has no store and no clock: query strings, bodies, keys
// and times are parameters, and whether a request's ID was seen before is for the
// caller to find out.
package saml
