package main

import "testing"

func TestCheckAttestation(t *testing.T) {
	t.Parallel()
	runChecks(t, map[string]checkCase{
		"good":     {func(s *site) { s.attest("[mdm-ca.crt]") }, ""},
		"no file":  {func(s *site) { s.attest("[tpm.pem]") }, `8: devices.attestation.tpm_roots[0]: "DIR/tpm.pem" does not exist; write the path of the file, relative to FILE`},
		"a key":    {func(s *site) { s.attest("[tls.key]") }, `8: devices.attestation.tpm_roots[0]: "DIR/tls.key" holds no certificate in PEM; write the path of one that does`},
		"a server": {func(s *site) { s.attest("[tls.crt]") }, `8: devices.attestation.tpm_roots[0]: "DIR/tls.crt" holds the certificate of *, which is no authority; write the path of the vendor's authorities`},
	})
}

// attest writes whose word on TPMs counts.
func (s *site) attest(roots string) {
	s.t.Helper()
	s.replace("devices:\n", "devices:\n  attestation: { tpm_roots: "+roots+" }\n")
}
