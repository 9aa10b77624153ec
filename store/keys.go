package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"unicode/utf8"
)

// Every key that the records use. Values are JSON unless it says otherwise.
//
//	device/<ID>                             posture.Device
//	cert/<authority>/<serial>               posture.Certificate
//	certkey/<key hash>                      text: <authority>/<serial> of the certificate with that key, the newest
//	certof/<hash of device ID>/<authority>/<serial>   empty: a certificate of that device
//	decision/<ID>                           posture.Decision; IDs sort by time
//	claim/<hash of relying party, request>  text: Unix seconds until which the request stays claimed
//	token/<hash of secret>                  posture.Token
//	apitoken/<hash of secret>               posture.APIToken
//	transaction/<ID>                        posture.Transaction
//	serialof/<hash of folded serial>/<ID>   empty: a device with that serial number
//	grant/<ID>                              bytes: posture.Grant.Value; IDs begin with its Until, so they sort by it
//	acme/<hash of ID>                       posture.ACMERecord
//	party/<name>                            RelyingParty
//	partyof/<hash of entity ID>             text: <name> of the relying party
//	clientof/<hash of client ID>            text: <name> of the relying party
//	outbox/<node>/<event ID>                noted: an event that is to be written into the log
//	log/<node>/<number>                     trail.Entry; its number as 16 hex digits
//	loghead/<node>                          trail.Bounds
//	webhook/<name>                          posture.Webhook
//	hookqueue/<hash of name>/<event ID>     posture.Delivery that waits
//	hookdead/<hash of name>/<event ID>      posture.Delivery that was given up
//	told/<hash of name>                     empty: of that was told once and for all
//	import                                  importRecord: the one import in hand
//	staged/<number>                         []posture.Report: rows of that import
//	probe                                   spaces: written to see whether that goes, and deleted
//	lastimport                              text: Unix nanoseconds of the last import, applied or not
//
// What comes from outside and could shape a key stands last in it, or hashed,
// so that no two records share a key.
const (
	devicePrefix   = "device/"
	decisionPrefix = "decision/"
	claimPrefix    = "claim/"
	grantPrefix    = "grant/"
	acmePrefix     = "acme/"
	partyPrefix    = "party/"
	tokenPrefix    = "token/"
	apiTokenPrefix = "apitoken/"
	outboxPrefix   = "outbox/"
	exchangePrefix = "transaction/"
	logPrefix      = "log/"
	boundsPrefix   = "loghead/"
	webhookPrefix  = "webhook/"
	importKey      = "import"
	stagedPrefix   = "staged/"
	lastImportKey  = "lastimport"
	probeKey       = "probe"
)

func deviceKey(id string) string                     { return devicePrefix + id }
func certificateKey(authority, serial string) string { return "cert/" + authority + "/" + serial }
func keyHashKey(hash string) string                  { return "certkey/" + hash }
func certificatesOf(deviceID string) string          { return "certof/" + hashed(deviceID) + "/" }
func decisionKey(id string) string                   { return decisionPrefix + id }
func claimKey(party, request string) string {
	return claimPrefix + hashed(fmt.Sprintf("%q %q", party, request))
}
func logKey(node string, seq uint64) string { return fmt.Sprintf("%s%s/%016x", logPrefix, node, seq) }
func boundsKey(node string) string          { return boundsPrefix + node }
func webhookKey(name string) string         { return webhookPrefix + name }
func queueOf(name string) string            { return "hookqueue/" + hashed(name) + "/" }
func deadOf(name string) string             { return "hookdead/" + hashed(name) + "/" }
func toldKey(name string) string            { return "told/" + hashed(name) }
func apiTokenKey(hash string) string        { return apiTokenPrefix + hash }
func tokenKey(hash string) string           { return tokenPrefix + hash }
func transactionKey(id string) string       { return exchangePrefix + id }
func serialsOf(folded string) string        { return "serialof/" + hashed(folded) + "/" }
func ekOf(hash string) string               { return "ekof/" + hashed(hash) }
func grantKey(id string) string             { return grantPrefix + id }
func acmeKey(id string) string              { return acmePrefix + hashed(id) }
func partyKey(name string) string           { return partyPrefix + name }
func partyOf(entityID string) string        { return "partyof/" + hashed(entityID) }
func clientOf(clientID string) string       { return "clientof/" + hashed(clientID) }
func stagedKey(number int) string           { return fmt.Sprintf("%s%010d", stagedPrefix, number) }

// hashed is the lower-case hex SHA-256 of s.
func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// maxName is how many bytes an ID or a name from outside may have in a key.
const maxName = 512

// checkName refuses what cannot stand in a key. JSON would silently change a
// name that is not UTF-8.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("empty %s", what)
	case len(name) > maxName:
		return fmt.Errorf("%s %.32q... has %d bytes, at most %d are allowed", what, name, len(name), maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%s %q is not UTF-8", what, name)
	}
	return nil
}
