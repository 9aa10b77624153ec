package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	otelattribute "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"gatepost.dev/idp"
	"gatepost.dev/internal/web"
)

// tracing follows sign-ins and sends their traces to a collector. A request never
// waits for that: finished spans go into a queue, and what finds it full is lost.
type tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

const (
	exportFor     = 10 * time.Second // one try to send
	flushFor      = 3 * time.Second  // all that is queued, when the server stops
	retryFor      = 30 * time.Second // the spans of one batch
	complainEvery = time.Minute
)

// newTracing has the requests of sign-ins traced by the handlers of the options.
// It is nil where nothing is to be traced.
func newTracing(c Tracing, spans *prometheus.CounterVec, to *web.Options) (*tracing, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(strings.TrimSuffix(c.Endpoint, "/") + tracesPath),
		otlptracehttp.WithTimeout(exportFor),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: retryFor}),
	}
	if c.HeadersFile != "" {
		headers, err := readHeaders(c.HeadersFile)
		if err != nil {
			return nil, fmt.Errorf("tracing.headers_file: %w", err)
		}
		options = append(options, otlptracehttp.WithHeaders(headers))
	}
	exporter, err := otlptracehttp.New(context.Background(), options...) // which connects to nobody yet
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&countedExporter{SpanExporter: exporter, spans: spans, now: to.Now, log: to.Log}, sdktrace.WithExportTimeout(retryFor+exportFor)),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.Sample))),
		sdktrace.WithResource(resource.NewWithAttributes(semconv.SchemaURL, semconv.ServiceName("gatepost"), semconv.ServiceVersion(version()))),
	)
	t := &tracing{provider: provider, tracer: provider.Tracer("gatepost.dev/cmd/gatepost", trace.WithSchemaURL(semconv.SchemaURL))}
	to.Trace = t.follow
	return t, nil
}

// stop sends what is queued, for a while.
func (t *tracing) stop(log *slog.Logger) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushFor)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "the last traces were not sent", slog.String("error", err.Error()))
	}
}

// tracedRoutes are the requests of a sign-in. There are few of them, and a trace
// of what anybody may send to any path would be worth nothing.
var tracedRoutes = map[string]bool{
	"GET /saml/sso": true, "POST /saml/sso": true, "POST /saml/sso" + idp.ContinuePath: true,
	"GET /oidc/authorize": true, "POST /oidc/authorize": true, "POST /oidc/authorize" + idp.ContinuePath: true,
	"POST /oidc/token": true,
}

// follow is the Trace of web.Options. Nothing that the client sent is in a span
// but its method, its HTTP version and the identifiers of its own trace: that is
// linked, and has no say in whether ours is sampled, or anybody could fill the
// collector.
func (t *tracing) follow(r *http.Request, route string) *web.Trace {
	if !tracedRoutes[route] {
		return nil
	}
	_, path, _ := strings.Cut(route, " ")
	options := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(r.Method), semconv.HTTPRoute(path), semconv.URLPath(path), semconv.URLScheme("https"),
			semconv.NetworkProtocolVersion(strings.TrimSuffix(strings.TrimPrefix(r.Proto, "HTTP/"), ".0"))),
	}
	if r.Header.Get("Traceparent") != "" {
		theirs := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(r.Header)))
		if theirs.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: theirs.WithTraceState(trace.TraceState{})}))
		}
	}
	ctx, span := t.tracer.Start(context.Background(), route, options...)
	if !span.IsRecording() {
		return nil
	}
	return &web.Trace{
		Step: func(name string) func(error) {
			_, step := t.tracer.Start(ctx, name)
			return func(err error) {
				if err != nil {
					step.SetStatus(codes.Error, "failed") // the log says why: the error may name what was asked
				}
				step.End()
			}
		},
		End: func(status int, reason, reference string, attrs []slog.Attr) {
			endSpan(span, status, reason, reference, attrs)
		},
	}
}

// tracedAttributes are what of a log record is in a span too: words of few, none
// of them a user.
var tracedAttributes = map[string]bool{"relying_party": true, "outcome": true, "verdict": true, "managed": true, "compliant": true}

func endSpan(span trace.Span, status int, reason, reference string, attrs []slog.Attr) {
	span.SetAttributes(semconv.HTTPResponseStatusCode(status), otelattribute.String("gatepost.reference", reference))
	if reason != "" {
		span.SetAttributes(otelattribute.String("gatepost.reason", reason))
	}
	for _, a := range attrs {
		switch name := otelattribute.Key("gatepost." + a.Key); {
		case !tracedAttributes[a.Key]:
		case a.Value.Kind() == slog.KindBool:
			span.SetAttributes(name.Bool(a.Value.Bool()))
		default:
			span.SetAttributes(name.String(a.Value.String()))
		}
	}
	if status >= http.StatusInternalServerError {
		span.SetAttributes(semconv.ErrorTypeKey.String(reason))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// countedExporter counts what is sent and what is not, and says so in the log. It
// keeps its errors: OpenTelemetry would write them to standard error, between the
// records.
type countedExporter struct {
	sdktrace.SpanExporter
	spans *prometheus.CounterVec
	now   func() time.Time
	log   *slog.Logger

	mu         sync.Mutex
	complained time.Time
}

func newSpanCounter() *prometheus.CounterVec {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatepost_trace_spans_total", Help: "Spans of traces, by result: sent to the collector, or failed to be.",
	}, []string{"result"})
	spans.WithLabelValues("sent")
	spans.WithLabelValues("failed")
	return spans
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *countedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		e.spans.WithLabelValues("sent").Add(float64(len(spans)))
		return nil
	}
	e.spans.WithLabelValues("failed").Add(float64(len(spans)))
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := e.now(); now.Sub(e.complained) >= complainEvery {
		e.complained = now
		e.log.LogAttrs(ctx, slog.LevelWarn, "traces not sent", slog.Int("spans", len(spans)), slog.String("error", err.Error()))
	}
	return nil
}
