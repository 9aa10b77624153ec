package main

import (
	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/devices/scep"
	"gatepost.dev/idp"
	"gatepost.dev/internal/web"
	"gatepost.dev/store"
)

// openSCEP opens what SCEP needs besides the authority, if it is switched on.
func (g *generation) openSCEP(options *web.Options) (err error) {
	if !g.config.Devices.SCEP.Enabled {
		return nil
	}
	if g.ra, err = certs.OpenRA(g.config.RAPath(), g.authority, options.Now()); err != nil {
		return err
	}
	if file := g.config.Devices.SCEP.StaticChallengeFile; file != "" {
		g.challenges, err = readSecrets(file)
	}
	return err
}

// scepEndpoints are what management systems ask for, on the issuer's host.
func (g *generation) scepEndpoints(records *store.Records, verifier idp.Verifier, enroller *devices.Enroller, renewer *devices.Renewer, options *web.Options) []endpoint {
	if g.ra == nil {
		return nil
	}
	s := &scep.Server{
		RA: g.ra, Authority: g.authority.Certificate, Enroller: enroller, Renewer: renewer,
		Verifier: verifier, Records: records, Static: g.challenges, Legacy: g.config.Devices.SCEP.AllowDESAndSHA1, Now: options.Now,
	}
	messages := *options
	messages.MaxBody = scep.MaxMessage
	return []endpoint{{"GET /scep", s.ServeSCEP, &messages}, {"POST /scep", s.ServeSCEP, &messages}}
}
