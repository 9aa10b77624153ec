package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// policySource knows two policies, and those of one relying party.
type policySource struct{ strict, lax *posture.Policy }

func (policySource) Names() []string { return []string{"default"} }

func (p policySource) Named(name string) (*posture.Policy, error) {
	if name == "default" {
		return p.lax, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrNoPolicy, name)
}

func (p policySource) Of(_ context.Context, party string, app posture.AppContext) (*posture.Policy, error) {
	switch {
	case party != "acme":
		return nil, fmt.Errorf("%w: %q", posture.ErrNoRelyingParty, party)
	case app.InstanceID == "0oa1" && app.Name == "Wiki & more":
		return p.strict, nil
	}
	return p.lax, nil
}

func (p policySource) Parse(text []byte) (map[string]*posture.Policy, error) {
	if string(text) == "bad" {
		return nil, fmt.Errorf("%w\nline 1: bad", ErrBadPolicies)
	}
	return map[string]*posture.Policy{"default": p.strict}, nil
}

// never is a rule that fails.
type never struct{}

func (never) Name() string { return "never" }
func (never) Check(*posture.Input) (posture.Failure, bool) {
	return posture.Failure{Rule: "never", Why: "so"}, false
}
func (never) Explain(*posture.Input) posture.Finding {
	return posture.Finding{Rule: "never", Failure: &posture.Failure{Rule: "never", Why: "so"}}
}

// simulation fails in the middle if it is told to.
type simulation struct{ err error }

func (s simulation) Run(_ context.Context, before, after *posture.Policy, app posture.AppContext, report func(done, total int)) (devices.Simulation, error) {
	report(1, 2)
	report(2, 2)
	if s.err != nil {
		return devices.Simulation{}, s.err
	}
	return devices.Simulation{Devices: 2, Lose: len(after.Rules) - len(before.Rules), Failing: map[string]int{app.Name: 1}}, nil
}

func policyClient(t *testing.T, s Simulator) *Client {
	t.Helper()
	memory := newMemory()
	d := posture.Device{}
	d.Apply(&posture.Report{DeviceID: "mac-1", Owner: "ann", Facts: map[string]string{posture.FactManaged: "true", posture.FactCompliant: "true"}},
		posture.Source{Name: "import", Kind: posture.Import}, now)
	memory.devices["mac-1"] = d
	p := &Policies{
		Inventory: memory, Simulator: s, Now: clock,
		Source: policySource{strict: &posture.Policy{Name: "strict", Rules: []posture.Rule{never{}}}, lax: &posture.Policy{Name: "lax"}},
	}
	return NewSocketClient(serve(t, apiOf(&web.Options{Log: slog.New(slog.DiscardHandler), Now: clock}, p)))
}

func TestExplain(t *testing.T) {
	t.Parallel()
	c := policyClient(t, simulation{})
	for _, tt := range []struct {
		q         ExplainQuery
		policy    string
		compliant bool
		status    int
	}{
		{ExplainQuery{DeviceID: "mac-1"}, "lax", true, 0},
		{ExplainQuery{DeviceID: "mac-1", RelyingParty: "acme", App: posture.AppContext{InstanceID: "0oa1", Name: "Wiki & more"}}, "strict", false, 0},
		{ExplainQuery{DeviceID: "mac-1", RelyingParty: "acme"}, "lax", true, 0},
		{ExplainQuery{DeviceID: "mac-1", RelyingParty: "other"}, "", false, http.StatusNotFound},
		{ExplainQuery{DeviceID: "mac-1", Policy: "nope"}, "", false, http.StatusNotFound},
		{ExplainQuery{DeviceID: "nobody"}, "", false, http.StatusNotFound},
		{ExplainQuery{DeviceID: "mac-1", Policy: "default", RelyingParty: "acme"}, "", false, http.StatusUnprocessableEntity},
	} {
		e, err := c.Explain(t.Context(), tt.q)
		problem, _ := errors.AsType[*Problem](err)
		if (problem == nil) != (tt.status == 0) || problem != nil && problem.Status != tt.status {
			t.Errorf("%+v: %v", tt.q, err)
			continue
		}
		if err == nil && (e.Policy != tt.policy || e.Verdict.Compliant != tt.compliant || e.Owner != "ann" || len(e.Findings) != len(e.Verdict.Failures) || e.App != tt.q.App) {
			t.Errorf("%+v: %+v", tt.q, e)
		}
	}
}

func TestSimulate(t *testing.T) {
	t.Parallel()
	var told []int
	s, err := policyClient(t, simulation{}).Simulate(t.Context(), SimulationRequest{Policies: "x", App: posture.AppContext{Name: "Wiki"}}, func(done, total int) { told = append(told, done, total) })
	if err != nil || s.Devices != 2 || s.Lose != 1 || s.Failing["Wiki"] != 1 || fmt.Sprint(told) != "[1 2 2 2]" {
		t.Errorf("%+v, %v, told %v", s, err, told)
	}
	for _, tt := range []struct {
		r      SimulationRequest
		fail   error
		status int
		detail string
	}{
		{SimulationRequest{Policies: "bad"}, nil, http.StatusUnprocessableEntity, "line 1: bad"},
		{SimulationRequest{Policies: "x", Policy: "other"}, nil, http.StatusNotFound, "in the file"},
		{SimulationRequest{Policies: "x", Against: "other"}, nil, http.StatusNotFound, "no such policy"},
		{SimulationRequest{Policies: strings.Repeat("x", 70<<10)}, nil, http.StatusRequestEntityTooLarge, "too large"},
		{SimulationRequest{Policies: "x"}, errors.New("secret of the disk"), http.StatusServiceUnavailable, "cannot be read"},
	} {
		_, err := policyClient(t, simulation{tt.fail}).Simulate(t.Context(), tt.r, func(int, int) {})
		problem, ok := errors.AsType[*Problem](err)
		if !ok || problem.Status != tt.status || !strings.Contains(problem.Detail, tt.detail) || strings.Contains(problem.Detail, "secret") {
			t.Errorf("%.40s: %v", tt.r.Policies, err)
		}
	}
}
