package admin

import (
	"bytes"
	"context"
	"encoding/json"
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
	var result devices.Simulation
	err = readLines(response.Body, "the server broke off", func(line *simulationLine) (last bool, err error) {
		switch {
		case line.Problem != nil:
			return true, line.Problem
		case line.Result != nil:
			result = *line.Result
			return true, nil
		}
		onProgress(line.Done, line.Total)
		return false, nil
	})
	return result, err
}
