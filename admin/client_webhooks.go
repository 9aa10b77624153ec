package admin

import (
	"context"
	"net/http"
	"net/url"
)

// Webhooks gets all webhooks, by name.
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	var list webhookList
	err := c.call(ctx, http.MethodGet, "webhooks", nil, &list)
	return list.Webhooks, err
}

// AddWebhook adds a receiver of events. Its secret cannot be had again.
func (c *Client) AddWebhook(ctx context.Context, n NewWebhook) (w IssuedWebhook, err error) {
	err = c.call(ctx, http.MethodPost, "webhooks", n, &w)
	return w, err
}

// VerifyWebhook has the receiver asked again to answer a challenge.
func (c *Client) VerifyWebhook(ctx context.Context, name string) (w Webhook, err error) {
	err = c.call(ctx, http.MethodPost, "webhooks/"+url.PathEscape(name)+"/verify", nil, &w)
	return w, err
}

// DeadLetters gets one page of what could not be delivered.
func (c *Client) DeadLetters(ctx context.Context, name, after string, limit int) (list DeadLetterList, err error) {
	values := url.Values{}
	set(values, "after", after)
	setNumber(values, "limit", limit)
	err = c.call(ctx, http.MethodGet, "webhooks/"+url.PathEscape(name)+"/dead?"+values.Encode(), nil, &list)
	return list, err
}

// RetryDeadLetters has dead letters, or all of a webhook, tried again.
func (c *Client) RetryDeadLetters(ctx context.Context, name string, ids []string) (r Retried, err error) {
	err = c.call(ctx, http.MethodPost, "webhooks/"+url.PathEscape(name)+"/retry", retryRequest{ids}, &r)
	return r, err
}

// RemoveWebhook removes a webhook with all that waits for it.
func (c *Client) RemoveWebhook(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "webhooks/"+url.PathEscape(name), nil, nil)
}
