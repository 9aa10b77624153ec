// Package oidc is the OpenID Connect half of a sign-in as functions over
// values: an authorization request in, a code out; a code in, tokens out.
//
// It serves no HTTP, keeps nothing and decides nothing about a device. Reading
// what others sign is go-jose's; what it writes is small enough to write.
package oidc
