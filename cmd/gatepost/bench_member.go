package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatepost.dev/agentapi"
)

// connect opens the member's connection, in place of a former one.
func (m *member) connect(ctx context.Context, roots *x509.CertPool) error {
	if m.conn != nil {
		m.conn.Close()
	}
	u, err := url.Parse(m.url)
	if err != nil {
		return err
	}
	config := tlsFor(roots, &m.certificate)
	config.ServerName = u.Hostname()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	m.conn, m.in = conn.(*tls.Conn), bufio.NewReaderSize(conn, 1<<10)
	return nil
}

// report sends one report over the member's connection, and tells how long it
// took until it was durable. It writes and reads HTTP as plainly as can be: what
// the fleet costs is not what is measured.
func (m *member) report() (time.Duration, error) {
	m.sequence++
	m.body.Reset()
	fmt.Fprintf(&m.body, `{"sequence":%d,"observed_at":"%s","boot_id":"5d1c1a2e-0000-4000-8000-000000000000","device":{},"facts":{"DiskEncrypted":"true",`+
		`"FirewallOn":"true","SecureBoot":"true","TPMPresent":"true","ScreenLock":"true","PendingSecurityUpdates":"0","EDR":"none"}}`,
		m.sequence, time.Now().UTC().Format(time.RFC3339Nano))
	m.request.Reset()
	fmt.Fprintf(&m.request, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", agentapi.ReportPath, m.url[len("https://"):], m.body.Len())
	m.request.Write(m.body.Bytes())
	began := time.Now()
	if _, err := m.conn.Write(m.request.Bytes()); err != nil {
		return 0, err
	}
	status, err := m.answer()
	took := time.Since(began)
	if err == nil && status != http.StatusAccepted {
		err = fmt.Errorf("a report was answered with %d", status)
	}
	return took, err
}

// answer reads an answer, which has a Content-Length.
func (m *member) answer() (status int, err error) {
	length := 0
	for first := true; ; first = false {
		line, err := m.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimSpace(line)
		switch {
		case first:
			if _, err := fmt.Sscanf(string(line), "HTTP/1.1 %d", &status); err != nil {
				return 0, fmt.Errorf("answered with %q", line)
			}
		case len(line) == 0:
			_, err := m.in.Discard(length)
			return status, err
		default:
			if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				if length, err = strconv.Atoi(string(value)); err != nil {
					return 0, err
				}
			}
		}
	}
}
