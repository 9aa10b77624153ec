package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// RelyingParties gets all SAML relying parties, by name.
func (c *Client) RelyingParties(ctx context.Context) ([]RelyingParty, error) {
	var list relyingPartyList
	err := c.call(ctx, http.MethodGet, "relying-parties", nil, &list)
	return list.RelyingParties, err
}

// AddRelyingParty registers a SAML relying party.
func (c *Client) AddRelyingParty(ctx context.Context, n NewRelyingParty) (rp RelyingParty, err error) {
	err = c.call(ctx, http.MethodPost, "relying-parties", n, &rp)
	return rp, err
}

// RemoveRelyingParty forgets a SAML relying party that was added.
func (c *Client) RemoveRelyingParty(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "relying-parties/"+url.PathEscape(name), nil, nil)
}

// Clients gets all OpenID clients, by name.
func (c *Client) Clients(ctx context.Context) ([]OIDCClient, error) {
	var list clientList
	err := c.call(ctx, http.MethodGet, "clients", nil, &list)
	return list.Clients, err
}

// AddClient registers an OpenID client. Its secret cannot be had again.
func (c *Client) AddClient(ctx context.Context, n NewOIDCClient) (issued IssuedSecret, err error) {
	err = c.call(ctx, http.MethodPost, "clients", n, &issued)
	return issued, err
}

// RotateClientSecret gives a client that was added another secret, which cannot
// be had again. The one before ends with the overlap, at most 30 days; 0: at
// once.
func (c *Client) RotateClientSecret(ctx context.Context, name string, overlap time.Duration) (issued IssuedSecret, err error) {
	err = c.call(ctx, http.MethodPost, "clients/"+url.PathEscape(name)+"/rotate-secret", secretRotation{overlap.String()}, &issued)
	return issued, err
}

// RemoveClient forgets an OpenID client that was added.
func (c *Client) RemoveClient(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "clients/"+url.PathEscape(name), nil, nil)
}
