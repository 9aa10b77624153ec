package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"gatepost.dev/devices"
)

// Explain gets why a policy judges a device as it does.
func (c *Client) Explain(ctx context.Context, q ExplainQuery) (e Explanation, err error) {
	values := url.Values{"device": {q.DeviceID}}
	set(values, "policy", q.Policy)
	set(values, "relying_party", q.RelyingParty)
	set(values, "app_id", q.App.InstanceID)
	set(values, "app_name", q.App.Name)
	err = c.call(ctx, http.MethodGet, "policies/explain?"+values.Encode(), nil, &e)
	return e, err
}

// Simulate gets what would change, and calls onProgress while the server judges.
func (c *Client) Simulate(ctx context.Context, r SimulationRequest, onProgress func(done, total int)) (devices.Simulation, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return devices.Simulation{}, err
	}
	response, err := c.send(ctx, http.MethodPost, "policies/simulate", "application/json", bytes.NewReader(body))
	if err != nil {
		return devices.Simulation{}, err
	}
	defer response.Body.Close()
	for lines := json.NewDecoder(response.Body); ; {
		var line simulationLine
		if err := lines.Decode(&line); err != nil {
			return devices.Simulation{}, fmt.Errorf("the server broke off: %w", err)
		}
		switch {
		case line.Problem != nil:
			return devices.Simulation{}, line.Problem
		case line.Result != nil:
			return *line.Result, nil
		default:
			onProgress(line.Done, line.Total)
		}
	}
}
