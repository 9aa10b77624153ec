package main

import (
	"crypto/x509"
	"net/http"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/idp"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// agentEndpoints are what agents ask for: those on the device host, where they
// prove their device, with that where they wait apart, and enrolment on the
// issuer's, where others enrol by ACME.
func (g *generation) agentEndpoints(records *store.Records, verifier idp.Verifier, former *generation, p process, options *web.Options) (device, waiting, issuer, acme []endpoint) {
	g.limiter = former.limiter // as full as it is
	if perMinute := g.config.Devices.Reports.PerMinute; former.config == nil || former.config.Devices.Reports.PerMinute != perMinute {
		g.limiter = web.NewRates(perMinute)
	}
	now := options.Now
	policy := g.parties.policies[defaultPolicy]
	issue := &devices.Issuer{Authority: g.authority, Records: records, Lifetime: g.config.Devices.CertificateLifetime, Now: now}
	enroller := &devices.Enroller{
		Issuer: issue, Records: records,
		Judge: func(d *posture.Device) posture.Verdict {
			return posture.Judge(&posture.Input{Device: d, Now: now()}, policy)
		},
	}
	agents := &devices.Agents{
		Enroller:    enroller,
		Renewer:     &devices.Renewer{Issuer: issue, Records: records},
		Reporter:    &devices.Reporter{Records: records, Note: func(d *posture.Device, at time.Time) { g.note(d, at) }, Now: now},
		Attester:    &devices.Attester{Key: g.tpmKey, Roots: g.tpmRoots, Now: now},
		Limiter:     g.limiter,
		Waits:       &devices.Waits{Notifier: p.notifier, Device: records.Device, Stopping: p.stopping},
		Verifier:    verifier,
		Issued:      records,
		Chain:       presented(g.proxy),
		Authority:   g.authority.Certificate,
		Loopback:    g.loopback,
		DeviceURL:   g.config.DeviceURL,
		ReportEvery: g.config.Devices.Reports.Every,
		Now:         now,
	}
	scep := g.scepEndpoints(records, verifier, agents.Enroller, agents.Renewer, options)
	problems := *options
	problems.WriteError, problems.MaxBody = devices.WriteProblem, agentapi.MaxBody
	routine := problems
	routine.Routine = true
	return []endpoint{
			{"POST " + agentapi.RenewPath, agents.ServeRenew, &problems},
			{"POST " + agentapi.RenewAttestPath, agents.ServeRenewAttest, &problems},
			{"POST " + agentapi.ReportPath, agents.ServeReport, &routine},
		}, []endpoint{
			{"GET " + agentapi.WaitPath, agents.ServeWait, &routine},
		}, append(scep,
			endpoint{"POST " + agentapi.EnrollPath, agents.ServeEnroll, &problems},
			endpoint{"POST " + agentapi.AttestPath, agents.ServeAttest, &problems}), g.acmeEndpoints(records, enroller, former, options)
}

// presented gives the certificates that the client presented, to us or to the
// proxy.
func presented(proxy *certs.Proxy) func(r *http.Request) ([]*x509.Certificate, error) {
	byProxy := forwarded(proxy)
	return func(r *http.Request) ([]*x509.Certificate, error) {
		chain, ok, err := byProxy(r)
		if err != nil || ok || r.TLS == nil {
			return chain, err
		}
		return r.TLS.PeerCertificates, nil
	}
}
