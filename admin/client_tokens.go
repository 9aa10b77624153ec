package admin

import (
	"context"
	"net/http"
	"net/url"

	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// CreateToken makes a token. Its secret cannot be had again.
func (c *Client) CreateToken(ctx context.Context, n NewToken) (t IssuedToken, err error) {
	err = c.call(ctx, http.MethodPost, "tokens", n, &t)
	return t, err
}

// Tokens gets one page of tokens.
func (c *Client) Tokens(ctx context.Context, after string, limit int) (list TokenList, err error) {
	values := url.Values{}
	set(values, "after", after)
	setNumber(values, "limit", limit)
	err = c.call(ctx, http.MethodGet, "tokens?"+values.Encode(), nil, &list)
	return list, err
}

// RevokeToken makes a token useless.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "tokens/"+url.PathEscape(id), nil, nil)
}

// CreateAPIToken makes a token for this API. Its secret cannot be had again.
func (c *Client) CreateAPIToken(ctx context.Context, n NewAPIToken) (t IssuedAPIToken, err error) {
	err = c.call(ctx, http.MethodPost, "api-tokens", n, &t)
	return t, err
}

// APITokens gets one page of tokens for this API.
func (c *Client) APITokens(ctx context.Context, after string, limit int) (list APITokenList, err error) {
	values := url.Values{}
	set(values, "after", after)
	setNumber(values, "limit", limit)
	err = c.call(ctx, http.MethodGet, "api-tokens?"+values.Encode(), nil, &list)
	return list, err
}

// RevokeAPIToken makes a token for this API useless.
func (c *Client) RevokeAPIToken(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "api-tokens/"+url.PathEscape(id), nil, nil)
}

// Approve makes a device that enrolled managed.
func (c *Client) Approve(ctx context.Context, id string) (d posture.Device, err error) {
	err = c.call(ctx, http.MethodPost, "devices/"+url.PathEscape(id)+"/approve", nil, &d)
	return d, err
}

// Release ends a suspicion about a device; keep decides between two keys.
func (c *Client) Release(ctx context.Context, id string, keep devices.Keep) (d posture.Device, err error) {
	err = c.call(ctx, http.MethodPost, "devices/"+url.PathEscape(id)+"/release", release{string(keep)}, &d)
	return d, err
}
