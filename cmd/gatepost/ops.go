package main

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gatepost.dev/agentapi"
	"gatepost.dev/internal/web"
	"gatepost.dev/store"
)

// ops is the operators' side: health, readiness and metrics, on a listener of
// its own.
type ops struct {
	now      func() time.Time
	log      *slog.Logger
	store    *watchedStore
	records  *store.Records
	current  *generations
	stopping atomic.Bool
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	reports  *prometheus.CounterVec
	ocsp     *prometheus.CounterVec
	spans    *prometheus.CounterVec
	signIns  *signInMetrics
	events   *eventMetrics
}

// newOps watches the store, whose file is at path, and what current serves.
func newOps(kv store.KV, path string, current *generations, now func() time.Time, log *slog.Logger) *ops {
	watched := newWatchedStore(kv, now)
	o := &ops{
		now: now, log: log, store: watched, records: store.New(sparing{watched}), current: current,
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatepost_requests_total", Help: "Requests answered, by route, status and reason of refusal.",
		}, []string{"route", "status", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatepost_request_duration_seconds", Help: "Time from a request to its answer.",
			// A sign-in takes two milliseconds, nearly all of them its signature.
			Buckets: []float64{.001, .0015, .002, .0025, .003, .004, .005, .0075, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route"}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatepost_reports_total", Help: "Reports of devices' agents, by result: accepted, or the reason of refusal.",
		}, []string{"result"}),
		ocsp: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatepost_ocsp_questions_total", Help: "Questions to authorities by OCSP, by what came of them.",
		}, []string{"result"}),
		spans:   newSpanCounter(),
		signIns: newSignInMetrics(now),
	}
	built := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gatepost_build_info", Help: "Always 1; the labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": version(), "goversion": runtime.Version()},
	})
	built.Set(1)
	o.events = newEventMetrics(o.records, now)
	// What is there from the start never lacks its first increase.
	o.reports.WithLabelValues(reportAccepted)
	for _, result := range []string{"good", "revoked", "unknown", "failed"} {
		o.ocsp.WithLabelValues(result)
	}
	o.registry.MustRegister(o.requests, o.duration, o.reports, o.ocsp, o.spans, o.signIns.decisions, o.signIns.reportAge, o.events.deliveries, o.events.delays, built,
		newListCollector(current.lists), newExpiryCollector(current), newReadyCollector(o),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o.store.register(o.registry, path)
	return o
}

const (
	reportRoute    = "POST " + agentapi.ReportPath
	reportAccepted = "accepted"
)

// count is the Count of web.Options.
func (o *ops) count(route string, status int, reason string, d time.Duration) {
	o.requests.WithLabelValues(route, strconv.Itoa(status), reason).Inc()
	o.duration.WithLabelValues(route).Observe(d.Seconds())
	if route == reportRoute {
		if reason == "" {
			reason = reportAccepted
		}
		o.reports.WithLabelValues(reason).Inc()
	}
}

// maxInHand is how many public requests are served at once: more than answers of
// a second on any machine, so that whoever is let in is answered before he gives
// up.
const maxInHand = 2048

// maxWaiting is how many agents wait for word at once: each holds a connection,
// which is some fifty kilobytes, and nothing else.
const maxWaiting = 16 << 10

// limit serves at most maxInHand requests at once, and beside them maxWaiting
// agents that wait for word; more get 503 at once.
func (o *ops) limit(h http.Handler) http.Handler {
	l, waiting := web.Limit(maxInHand, h), web.Limit(maxWaiting, h)
	o.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "gatepost_requests_shed_total", Help: "Requests answered with 503 because too many were in hand.",
		}, func() float64 { return float64(l.Refused() + waiting.Refused()) }),
		gaugeFunc("gatepost_requests_in_hand", "Requests that are being served, without agents that wait for word.",
			func() float64 { return float64(l.InHand()) }),
		gaugeFunc("gatepost_agents_waiting", "Agents that wait for word.", func() float64 { return float64(waiting.InHand()) }),
	)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == agentapi.WaitPath {
			waiting.ServeHTTP(w, r)
			return
		}
		l.ServeHTTP(w, r)
	})
}

// watchGate makes metrics of the gate.
func (o *ops) watchGate(gate *web.Gate) {
	for state, of := range map[string]func() int{
		"urgent":  func() int { urgent, _, _ := gate.Depths(); return urgent },
		"patient": func() int { _, patient, _ := gate.Depths(); return patient },
		"waiting": func() int { _, _, waiting := gate.Depths(); return waiting },
	} {
		o.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "gatepost_gate_requests",
			Help:        "Requests at the gate: urgent (sign-ins), patient (of agents, let in) and waiting (of agents, not let in yet).",
			ConstLabels: prometheus.Labels{"state": state},
		}, func() float64 { return float64(of()) }))
	}
}

// countEvery is how often the devices are counted, which reads all of them.
const countEvery = 10 * time.Minute

// countDevices counts the devices now and then, until ctx ends.
func (o *ops) countDevices(ctx context.Context) {
	devices := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gatepost_devices", Help: "Devices in the inventory, retired ones among them; counted every ten minutes.",
	})
	ticker := time.NewTicker(countEvery)
	defer ticker.Stop()
	for registered := false; ; {
		n, err := o.records.CountDevices(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			o.log.LogAttrs(ctx, slog.LevelError, "devices not counted", slog.String("error", err.Error()))
		default:
			devices.Set(float64(n))
			if !registered {
				o.registry.MustRegister(devices) // not before the number is known
				registered = true
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (o *ops) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", o.serveReady)
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{}))
	return mux
}
