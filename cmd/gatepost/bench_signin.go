package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/conform"
)

// register makes the simulated Okta known, and a device from which users sign
// in.
func (b *bench) register() error {
	anybody, err := newBrowser(b.roots, nil)
	if err != nil {
		return err
	}
	defer anybody.close()
	metadata, err := anybody.load(b.ctx, step{url: b.issuer() + "/saml/metadata"})
	if err != nil {
		return err
	}
	key, certificate, err := makeOktaKey(time.Now())
	if err != nil {
		return err
	}
	b.okta, err = conform.NewOkta(conform.OktaConfig{
		EntityID: "https://www.okta.com/saml2/service-provider/spbench", ACS: "https://okta.invalid/sso/saml2/0oabench",
		Key: key, Certificate: certificate, IdPMetadata: metadata.body, Now: time.Now,
	})
	if err != nil {
		return err
	}
	client := admin.NewSocketClient(filepath.Join(b.data(), "gatepost.sock"))
	if _, err := client.AddRelyingParty(b.ctx, admin.NewRelyingParty{Name: "bench", Metadata: string(b.okta.Metadata())}); err != nil {
		return err
	}
	member, err := enrolMember(b.ctx, client, newFleetHTTP(b.roots), b.issuer(), 0)
	if err != nil {
		return err
	}
	b.browser, err = newBrowser(b.roots, &member.certificate)
	return err
}

// signIn does one sign-in and tells how long the provider took.
func (b *bench) signIn() (time.Duration, error) {
	request, err := b.okta.Request(conform.RequestOptions{Binding: conform.Redirect, Subject: "ann@example.com"})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	p, err := b.browser.load(b.ctx, step{url: request.URL})
	took := time.Since(began)
	switch {
	case err != nil:
		return 0, err
	case p.status != http.StatusOK || p.next == nil || !p.next.form.Has("SAMLResponse"):
		return 0, fmt.Errorf("a sign-in was answered with %d: %s", p.status, p.said)
	}
	return took, nil
}

// signIns measures sign-ins at a steady rate, for as long as beside takes, or as
// is asked for.
func (b *bench) signIns(c *benchAgents, beside func() error) (latencies, error) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		if beside != nil {
			done <- beside()
			return
		}
		wait(ctx, c.Duration)
		done <- nil
	}()
	if c.SignIns == 0 {
		return latencies{}, <-done
	}
	ticker := time.NewTicker(time.Second / time.Duration(c.SignIns))
	defer ticker.Stop()
	var all []time.Duration
	for {
		select {
		case err := <-done:
			return summarise(all), err
		case <-ticker.C:
			took, err := b.signIn()
			if err != nil {
				return latencies{}, err
			}
			all = append(all, took)
		}
	}
}

// wait waits until d has passed or ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
