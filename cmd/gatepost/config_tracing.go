package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Tracing is where traces of sign-ins go: to a collector that speaks OTLP, the
// protocol of OpenTelemetry, over HTTP.
type Tracing struct {
	// Endpoint is the URL of the collector, to which /v1/traces is added, such as
	// http://127.0.0.1:4318. Without it nothing is traced.
	Endpoint string `yaml:"endpoint"`

	// Sample is the part of the sign-ins that is traced, from 0 to 1, such as 0.1
	// for every tenth. Defaults to 1.
	Sample float64 `yaml:"sample"`

	// HeadersFile is the path of a file, readable by its owner only, with headers
	// for the collector, such as its token: one "Name: value" a line. Defaults to
	// none.
	HeadersFile string `yaml:"headers_file"`
}

const exampleCollector = "http://127.0.0.1:4318"

// setDefaults fills in what is not written.
func (t *Tracing) setDefaults(written func(path string) bool) {
	if !written("tracing.sample") {
		t.Sample = 1
	}
}

// validate finds the faults of the values.
func (t *Tracing) validate(f *findings) {
	if !(t.Sample >= 0 && t.Sample <= 1) && !f.faulty("tracing.sample") {
		f.add("tracing.sample", strconv.FormatFloat(t.Sample, 'g', -1, 64)+" is out of range", "write 0 to 1, such as 0.1 for every tenth sign-in")
	}
	const path = "tracing.endpoint"
	if t.Endpoint == "" {
		if f.written("tracing") && !f.written(path) && !f.faulty(path) && !f.faulty("tracing") {
			f.add(path, missing, "write endpoint: "+exampleCollector+", or delete tracing")
		}
		return
	}
	const instead = "write http:// or https:// and a host, such as " + exampleCollector
	// What may hold a password or a token is not quoted.
	u, err := url.Parse(t.Endpoint)
	switch {
	case err != nil:
		f.add(path, "is no URL", instead)
	case u.User != nil:
		f.add(path, "holds a user name", "write headers_file: and the path of a file with an Authorization header")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		f.add(path, quote(t.Endpoint)+" is no URL of a collector", instead)
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(t.Endpoint, "#"):
		f.add(path, "holds a query or a fragment", "write "+u.Scheme+"://"+u.Host+u.Path)
	case strings.HasSuffix(u.Path, tracesPath):
		f.add(path, quote(t.Endpoint)+" ends in "+tracesPath+", which is added to it", "write "+strings.TrimSuffix(t.Endpoint, tracesPath))
	case u.Scheme == "http" && !loopback(u.Hostname()):
		f.warn(path, quote(t.Endpoint)+" sends traces to another machine without encryption", "write https://, or run a collector on this machine")
	}
}

// tracesPath is where a collector takes traces (OTLP specification 1.9, OTLP/HTTP
// request).
const tracesPath = "/v1/traces"

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// checkTracing reads the headers for the collector.
func (k *checker) checkTracing(c *Config) {
	const path = "tracing.headers_file"
	if k.ctx.Err() != nil || c.Tracing.HeadersFile == "" || k.faulty(path) {
		return
	}
	_, err := readHeaders(c.Tracing.HeadersFile)
	k.secretFault(path, c.Tracing.HeadersFile, "the headers", err)
}

// headerLine is one header (RFC 9110 section 5), with a value that prints.
var headerLine = regexp.MustCompile("^([A-Za-z0-9!#$%&'*+.^_`|~-]+): *([!-~]([ -~]*[!-~])?)$")

// readHeaders reads a file of headers. Its error never quotes what the file holds.
func readHeaders(path string) (map[string]string, error) {
	data, err := readSecretFile(path)
	if err != nil {
		return nil, err
	}
	if len(data) > maxSecretFile {
		return nil, &secretFileError{path, fmt.Sprintf("is larger than %d bytes", maxSecretFile), "see that it is the right file"}
	}
	headers := map[string]string{}
	for i, line := range bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")) {
		m := headerLine.FindSubmatch(line)
		if m == nil {
			return nil, &secretFileError{path, fmt.Sprintf("has no header on line %d", i+1), `write one "Name: value" a line`}
		}
		headers[string(m[1])] = string(m[2])
	}
	return headers, nil
}
