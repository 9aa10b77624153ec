package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Log gets one page of the log of a node (empty: the first by name), behind the
// entry of a number.
func (c *Client) Log(ctx context.Context, node string, after uint64, limit int) (page LogPage, err error) {
	values := url.Values{"after": {strconv.FormatUint(after, 10)}}
	set(values, "node", node)
	setNumber(values, "limit", limit)
	err = c.call(ctx, http.MethodGet, "log?"+values.Encode(), nil, &page)
	return page, err
}

// LastLog gets the newest n entries of the log of a node.
func (c *Client) LastLog(ctx context.Context, node string, n int) (page LogPage, err error) {
	values := url.Values{"last": {strconv.Itoa(n)}}
	set(values, "node", node)
	err = c.call(ctx, http.MethodGet, "log?"+values.Encode(), nil, &page)
	return page, err
}

// ExportLog writes the log to w, in a format of LogJSON and LogOCSF.
func (c *Client) ExportLog(ctx context.Context, format string, w io.Writer) error {
	response, err := c.send(ctx, http.MethodGet, "log/export?format="+url.QueryEscape(format), "", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	last := &lastLine{}
	if _, err := io.Copy(io.MultiWriter(w, last), response.Body); err != nil {
		return fmt.Errorf("the server broke off: %w", err)
	}
	var line exportLine
	if json.Unmarshal(last.text, &line) == nil && line.Problem != nil {
		return line.Problem
	}
	return nil
}

// lastLine keeps the last line that is written to it, if it is short.
type lastLine struct {
	text  []byte
	ended bool
}

func (l *lastLine) Write(p []byte) (int, error) {
	for part := range bytes.Lines(p) {
		if l.ended {
			l.text = l.text[:0]
		}
		if l.ended = part[len(part)-1] == '\n'; len(l.text) < maxProblem {
			l.text = append(l.text, part...)
		}
	}
	return len(p), nil
}

// VerifyLog gets what a verification of the log finds, and calls onProgress while
// the server goes through it.
func (c *Client) VerifyLog(ctx context.Context, onProgress func(done, total uint64)) (LogVerified, error) {
	response, err := c.send(ctx, http.MethodGet, "log/verify", "", nil)
	if err != nil {
		return LogVerified{}, err
	}
	defer response.Body.Close()
	var result LogVerified
	err = readLines(response.Body, "the server broke off", func(line *verifyLine) (last bool, err error) {
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
