package main

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/certs"
	"gatepost.dev/idp"
	"gatepost.dev/internal/web"
	"gatepost.dev/store"
)

// challengePurpose is what the key that signs challenges is derived for: every
// server with the built-in authority has it, so agents know it for good.
const challengePurpose = "gatepost challenge to an agent, version 1"

// challenger asks the agents of devices whose browsers show no certificate.
func (g *generation) challenger(records *store.Records, now func() time.Time) *idp.Challenger {
	return &idp.Challenger{
		Tickets: g.tickets, Claimer: records, Key: g.challengeKey, Issuer: g.config.Issuer,
		Agent: fmt.Sprintf("http://127.0.0.1:%d", g.config.Devices.AgentPort), Now: now,
	}
}

// challengeEndpoints are where browsers fetch challenges, and where agents send
// them back to.
func challengeEndpoints(c *idp.Challenger, pages *web.Options) []endpoint {
	return []endpoint{
		{"POST /saml/sso" + idp.AskPath, c.ServeAsk("saml"), pages},
		{"POST /oidc/authorize" + idp.AskPath, c.ServeAsk("oidc"), pages},
		{"GET " + agentapi.AnswerPath, c.ServeAnswered, pages},
	}
}

// newLoopback makes the key that signs challenges, and what agents are told.
func newLoopback(authority *certs.Authority, port int) (*ecdsa.PrivateKey, *agentapi.Loopback, error) {
	key, err := authority.DeriveSigner(challengePurpose)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	return key, &agentapi.Loopback{Port: port, Key: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}, nil
}
