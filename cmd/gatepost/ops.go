package main

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gatepost.dev/agentapi"
	"gatepost.dev/certs/revocation"
	"gatepost.dev/internal/web"
	"gatepost.dev/store"
)

// ops is the operators' side: health, readiness and metrics, on a listener of
// its own.
type ops struct {
	records  *store.Records
	stopping atomic.Bool
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	ocsp     *prometheus.CounterVec
}

func newOps(records *store.Records, lists func() []revocation.Status) *ops {
	o := &ops{
		records:  records,
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatepost_requests_total", Help: "Requests answered, by route, status and reason of refusal.",
		}, []string{"route", "status", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatepost_request_duration_seconds", Help: "Time from a request to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"route"}),
		ocsp: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatepost_ocsp_questions_total", Help: "Questions to authorities by OCSP, by what came of them.",
		}, []string{"result"}),
	}
	o.registry.MustRegister(o.requests, o.duration, o.ocsp, newListCollector(lists), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return o
}

// count is the Count of web.Options.
func (o *ops) count(route string, status int, reason string, d time.Duration) {
	o.requests.WithLabelValues(route, strconv.Itoa(status), reason).Inc()
	o.duration.WithLabelValues(route).Observe(d.Seconds())
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
	o.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "gatepost_requests_shed_total", Help: "Requests answered with 503 because too many were in hand.",
	}, func() float64 { return float64(l.Refused() + waiting.Refused()) }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == agentapi.WaitPath {
			waiting.ServeHTTP(w, r)
			return
		}
		l.ServeHTTP(w, r)
	})
}

func (o *ops) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", o.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{}))
	return mux
}

// ready tells whether this process can answer a sign-in: its store can be read
// and it is not about to stop.
func (o *ops) ready(w http.ResponseWriter, r *http.Request) {
	if o.stopping.Load() {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	if _, err := o.records.Devices(r.Context(), "", 1); err != nil {
		http.Error(w, "store cannot be read", http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ok\n"))
}
