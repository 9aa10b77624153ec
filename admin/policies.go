package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Simulator is devices.Simulator.
type Simulator interface {
	Run(ctx context.Context, before, after *posture.Policy, app posture.AppContext, report func(done, total int)) (devices.Simulation, error)
}

// PolicySource gives policies.
type PolicySource interface {
	// Named is the policy of that name in the configuration: ErrNoPolicy.
	Named(name string) (*posture.Policy, error)
	Names() []string // of all policies of the configuration, sorted
	// Of is the policy of a relying party for an application: ErrNoPolicy, or
	// posture.ErrNoRelyingParty.
	Of(ctx context.Context, relyingParty string, app posture.AppContext) (*posture.Policy, error)
	// Parse reads the policies of a file: ErrBadPolicies, with every fault.
	Parse(text []byte) (map[string]*posture.Policy, error)
}

// Policies explains verdicts and simulates policies:
//
//	GET  policies
//	GET  policies/explain?device=&policy=&relying_party=&app_id=&app_name=
//	POST policies/simulate  {"policies", "policy", "against", "app"}
//
// The answer to the second is a stream of lines: each is {"done", "total"}, but the
// last, which is {"result"} or {"problem"}.
type Policies struct {
	Inventory Inventory
	Source    PolicySource
	Simulator Simulator
	Now       func() time.Time
}

var explainParameters = []Parameter{
	{Name: "device", Summary: "The device's ID.", Type: typeOf[string]()},
	{Name: "policy", Summary: "Name of the policy; by default \"default\".", Type: typeOf[string]()},
	{Name: "relying_party", Summary: "Instead of a policy: the one that this relying party has for the application.", Type: typeOf[string]()},
	{Name: "app_id", Summary: "ID of the application.", Type: typeOf[string]()},
	{Name: "app_name", Summary: "Name of the application.", Type: typeOf[string]()},
}

// Operations are what the API serves by h.
func (h *Policies) Operations() []Operation {
	return []Operation{
		{Method: http.MethodGet, Path: "policies", Role: posture.Viewer, Summary: "List the policies of the configuration.", Answer: typeOf[PolicyList](), serve: h.list},
		{Method: http.MethodGet, Path: "policies/explain", Role: posture.Viewer, Summary: "Explain what a policy makes of a device, rule by rule.",
			Query: explainParameters, Answer: typeOf[Explanation](),
			Refusals: []int{http.StatusNotFound, http.StatusUnprocessableEntity}, serve: h.explain},
		{Method: http.MethodPost, Path: "policies/simulate", Role: posture.Operator, Summary: "Try policies on the whole inventory; nothing changes.",
			Body: typeOf[SimulationRequest](), Answer: typeOf[simulationLine](), Lines: true, ReadsOnly: true,
			Refusals: taken(http.StatusNotFound, http.StatusUnprocessableEntity), serve: h.simulate},
	}
}

func (h *Policies) list(w http.ResponseWriter, _ *http.Request) error {
	list := PolicyList{Policies: []Policy{}}
	for _, name := range h.Source.Names() {
		p, err := h.Source.Named(name)
		if err != nil {
			return fail(err)
		}
		wire := Policy{Name: p.Name, ManagedMaxAge: p.MaxAge().String(), Rules: []PolicyRule{}, Emit: p.Emit}
		for _, rule := range p.Rules {
			// What a rule demands it says of any device.
			wire.Rules = append(wire.Rules, PolicyRule{Name: rule.Name(), Require: rule.Explain(&posture.Input{Device: &posture.Device{}, Now: h.Now()}).Require})
		}
		if p.Shadow != nil {
			wire.Shadow = p.Shadow.Name
		}
		list.Policies = append(list.Policies, wire)
	}
	return web.WriteJSON(w, http.StatusOK, list)
}

func (h *Policies) explain(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	app := posture.AppContext{InstanceID: q.values.Get("app_id"), Name: q.values.Get("app_name")}
	var policy *posture.Policy
	var err error
	switch name, party := q.values.Get("policy"), q.values.Get("relying_party"); {
	case name != "" && party != "":
		return fail(fmt.Errorf("%w: policy and relying_party exclude each other", ErrBadPolicies))
	case party != "":
		policy, err = h.Source.Of(r.Context(), party, app)
	default:
		policy, err = h.Source.Named(orDefault(name))
	}
	if err != nil {
		return fail(err)
	}
	d, err := h.Inventory.Device(r.Context(), q.values.Get("device"))
	if err != nil {
		return fail(err)
	}
	v, findings := posture.Explain(&posture.Input{Device: &d, App: app, Now: h.Now()}, policy)
	e := Explanation{
		DeviceID: d.ID, Owner: d.Owner, OS: d.OS, OSVersion: d.OSVersion, Policy: policy.Name, App: app, Findings: findings,
		Verdict: verdictOf(v), Quarantine: v.Quarantine,
	}
	if e.Findings == nil {
		e.Findings = []posture.Finding{}
	}
	return web.WriteJSON(w, http.StatusOK, e)
}

func (h *Policies) simulate(w http.ResponseWriter, r *http.Request) error {
	var asked SimulationRequest
	if err := web.ReadJSON(r, &asked); err != nil {
		return err
	}
	policies, err := h.Source.Parse([]byte(asked.Policies))
	if err != nil {
		return fail(err)
	}
	name := orDefault(asked.Policy)
	after := policies[name]
	if after == nil {
		return fail(fmt.Errorf("%w: %.80q in the file", ErrNoPolicy, name))
	}
	against := asked.Against
	if against == "" {
		against = name
	}
	before, err := h.Source.Named(against)
	if err != nil {
		return fail(err)
	}
	out := newStream(w)
	if err := out.unbound(); err != nil {
		return err
	}
	result, err := h.Simulator.Run(r.Context(), before, after, asked.App, func(done, total int) {
		out.send(simulationLine{Done: done, Total: total})
	})
	if err == nil {
		out.send(simulationLine{Result: &result})
		return out.err
	}
	failure := fail(err)
	if out.begun {
		out.send(simulationLine{Problem: problem(r.Context(), failure)})
	}
	return failure
}

func orDefault(policy string) string {
	if policy == "" {
		return "default"
	}
	return policy
}
