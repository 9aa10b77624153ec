package main

import (
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatepost.dev/idp/oidc"
)

// addClient registers a client whose ID tokens are signed by alg.
func (s *benchServer) addClient(b *testing.B, alg string) *oidcParty {
	b.Helper()
	out, err := program(b.Context(), "client", "add", "acme-"+alg, "--redirect-uri", testRedirectURI, "--id-token-alg", alg,
		"--json", "-c", filepath.Join(s.dir, "gatepost.yaml")).Output()
	if err != nil {
		b.Fatal(err)
	}
	sso, err := url.Parse(s.requests(b, 1)[0])
	if err != nil {
		b.Fatal(err)
	}
	return newOIDCParty(b, out, "https://localhost:"+sso.Port(), "https://"+sso.Host, s.client)
}

// signIns does n of them, 128 at a time over connections that stay open.
func (rp *oidcParty) signIns(b *testing.B, n int) {
	const clients = 128
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			for j := i; j < n; j += clients {
				if _, err := rp.signIn(j); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkOIDCSignIn is complete sign-ins by OpenID Connect (authorize with a
// client certificate, token, userinfo; decision and grant recorded, code used up;
// 128 at a time), with RS256 and with ES256 by turns, beside bare RSA-2048
// signatures of the same run. An operation is a batch of 800 with RS256 and of
// 3200 with ES256: some seconds of CPU each, which is counted in ticks of 10 ms.
//
// ES256-per-RS256 compares the sign-ins that a second of the server's CPU pays
// for. Of the sign-ins/s the client has its part: on two cores it needs about as
// much as the server does with ES256.
func BenchmarkOIDCSignIn(b *testing.B) {
	batch := map[string]int{oidc.RS256: 800, oidc.ES256: 3200}
	s := startBenchServer(b, benchDevices[0], "both")
	algs := []string{oidc.RS256, oidc.ES256}
	parties := make([]*oidcParty, len(algs))
	for i, alg := range algs {
		parties[i] = s.addClient(b, alg)
		parties[i].signIns(b, batch[oidc.RS256])
	}
	cpu, wall := make([]time.Duration, len(algs)), make([]time.Duration, len(algs))
	var bare time.Duration
	n := 0
	for b.Loop() {
		bare += bareSignature(b, batch[oidc.RS256])
		for i, rp := range parties {
			before, begun := s.cpu(b), time.Now()
			rp.signIns(b, batch[algs[i]])
			cpu[i] += s.cpu(b) - before
			wall[i] += time.Since(begun)
		}
		n++
	}
	perBare := float64(bare) / float64(n)
	perSignIn := make([]float64, len(algs))
	for i, alg := range algs {
		perSignIn[i] = float64(cpu[i]) / float64(n*batch[alg])
		b.ReportMetric(perSignIn[i]/1e3, alg+"-server-cpu-µs")
		b.ReportMetric(perSignIn[i]/perBare, alg+"-in-bare-rsa")
		b.ReportMetric(float64(n*batch[alg])/wall[i].Seconds(), alg+"-sign-ins/s")
	}
	b.ReportMetric(perBare/1e3, "bare-rsa-µs")
	b.ReportMetric(perSignIn[0]/perSignIn[1], "ES256-per-RS256")
}
