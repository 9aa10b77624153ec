// Package storetest is the suite that every store engine passes: the contract
// of store.KV, the records over it, concurrency, and sudden death.
//
// It is for tests only. An engine is done when Run and Crash pass.
package storetest

import (
	"testing"

	"gatepost.dev/store"
)

// Run holds an engine and the records over it to their contracts. Each call of
// open gives a new, empty store.
func Run(t *testing.T, open func(t testing.TB) store.KV) {
	for _, s := range []struct {
		name string
		test func(t *testing.T, kv store.KV)
	}{
		{"GetPutDelete", testGetPutDelete},
		{"Scan", testScan},
		{"Conditions", testConditions},
		{"Revisions", testRevisions},
		{"AllOrNothing", testAllOrNothing},
		{"Refused", testRefused},
		{"Ownership", testOwnership},
		{"Context", testContext},
		{"Closed", testClosed},
		{"Probe", testProbe},
		{"Counter", testCounter},
		{"ClaimOnce", testClaimOnce},
		{"Transfers", testTransfers},
		{"Registers", testRegisters},
		{"Devices", testDevices},
		{"Retire", testRetire},
		{"RetireRace", testRetireRace},
		{"Certificates", testCertificates},
		{"Tokens", testTokens},
		{"Enroll", testEnroll},
		{"EK", testEK},
		{"EnrollOnce", testEnrollOnce},
		{"EnrollWithoutToken", testEnrollWithoutToken},
		{"Transactions", testTransactions},
		{"TransactionOnce", testTransactionOnce},
		{"SameKey", testSameKey},
		{"Serials", testSerials},
		{"UpdateHardware", testUpdateHardware},
		{"Decisions", testDecisions},
		{"Replay", testReplay},
		{"Sweep", testSweep},
		{"Grants", testGrants},
		{"GrantsWhole", testGrantsWhole},
		{"Redeem", testRedeem},
		{"GrantRefusal", testGrantRefusal},
		{"Claims", testClaims},
		{"SweepGrants", testSweepGrants},
		{"RelyingParties", testRelyingParties},
		{"Clients", testClients},
		{"UpdateRelyingParty", testUpdateRelyingParty},
		{"Import", testImport},
		{"ImportReplace", testImportReplace},
		{"ImportReplaceAtAnyTime", testImportReplaceAtAnyTime},
		{"ImportRefused", testImportRefused},
		{"ImportResume", testImportResume},
		{"ImportAbandoned", testImportAbandoned},
		{"MeddledDevices", testMeddledDevices},
		{"MeddledSweep", testMeddledSweep},
		{"MeddledGrants", testMeddledGrants},
		{"MeddledImport", testMeddledImport},
		{"FinishedMeanwhile", testFinishedMeanwhile},
		{"LateRows", testLateRows},
		{"ImportRace", testImportRace},
		{"Losses", testLosses},
		{"LossesBySerial", testLossesBySerial},
		{"APITokens", testAPITokens},
		{"Log", testLog},
		{"LogTampered", testLogTampered},
		{"PruneLog", testPruneLog},
		{"LogRace", testLogRace},
		{"Webhooks", testWebhooks},
		{"ACMERecords", testACMERecords},
		{"SweepACMERecords", testSweepACMERecords},
		{"EnrollDevice", testEnrollDevice},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			kv := open(t)
			t.Cleanup(func() { kv.Close() })
			s.test(t, kv)
		})
	}
}
