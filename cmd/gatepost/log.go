package main

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/events/trail"
	"gatepost.dev/posture"
)

type logCommand struct {
	Remote remote `embed:"" group:"A server elsewhere"`

	List   logList   `cmd:"" help:"List what was decided, changed and happened: the newest hundred, or as the flags say."`
	Verify logVerify `cmd:"" help:"Verify that nothing in the log, or in an export of it, was changed or cut."`
	Export logExport `cmd:"" help:"Write the log to a file: to keep it elsewhere, or for a SIEM."`
}

type logList struct {
	Node  string `placeholder:"NAME" help:"Of this node; by default the first by name."`
	After uint64 `placeholder:"NUMBER" help:"Begin behind the entry of this number."`
	Kind  string `placeholder:"KIND" help:"Only entries of this kind, such as change or device.retired; a kind that ends in a dot means all that begin so."`
	Last  int    `placeholder:"N" help:"Only the newest so many, at most 1000; by default 100, unless --after, --kind or --limit is given."`
	Limit int    `placeholder:"N" help:"Stop after so many; by default all."`
}

// Validate checks the flags.
func (c *logList) Validate() error {
	switch {
	case c.Last != 0 && (c.After != 0 || c.Kind != "" || c.Limit != 0):
		return errors.New("--last goes with none of --after, --kind and --limit")
	case c.Last < 0 || c.Last > 1000:
		return fmt.Errorf("--last %d is not from 1 to 1000", c.Last)
	case c.Limit < 0:
		return fmt.Errorf("--limit %d is below 0", c.Limit)
	}
	return nil
}

// Run lists entries.
func (c *logList) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		found := []trail.Entry{}
		all := c.After != 0 || c.Kind != "" || c.Limit != 0
		if !all || c.Last != 0 {
			page, err := client.LastLog(e.ctx, c.Node, cmp.Or(c.Last, 100))
			if err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			found = page.Entries
		}
		for after, more := c.After, all; more && (c.Limit == 0 || len(found) < c.Limit); {
			page, err := client.Log(e.ctx, c.Node, after, 1000)
			if err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			for _, entry := range page.Entries {
				kind := string(entry.Event.Kind)
				if after = entry.Seq; (c.Kind == "" || kind == c.Kind || strings.HasSuffix(c.Kind, ".") && strings.HasPrefix(kind, c.Kind)) && (c.Limit == 0 || len(found) < c.Limit) {
					found = append(found, entry)
				}
			}
			more = page.Next != ""
		}
		if e.json {
			return printJSON(e.stdout, found)
		}
		t := newTable(e.stdout, "NUMBER", "TIME", "KIND", "DEVICE", "BY", "WHAT")
		for _, entry := range found {
			ev := &entry.Event
			t.row(strconv.FormatUint(entry.Seq, 10), second(ev.Time), string(ev.Kind), ev.DeviceID, ev.By, whatHappened(ev))
		}
		return t.flush()
	})
}

// whatHappened is what a list says of an event beside who and when.
func whatHappened(e *posture.Event) string {
	switch {
	case e.Change != nil && e.Change.Status == 0:
		return e.Change.Operation + " " + e.Change.Path + ": asked"
	case e.Change != nil:
		text := e.Change.Operation + " " + e.Change.Path + ": " + strconv.Itoa(e.Change.Status) + " " + shortened(string(e.Change.Body))
		if e.Change.Made != "" {
			text += " made " + e.Change.Made
		}
		return text
	case e.Decision != "":
		return e.Decision
	}
	return e.Why
}

// shortened is what a line of a table has of a text; JSON has all of it.
func shortened(text string) string {
	const most = 300
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

type logVerify struct {
	File string `arg:"" optional:"" help:"An export to verify; without one, the server's own log."`
	Key  string `placeholder:"HEX" help:"For FILE: the log's key, as \"gatepost log verify\" without a file prints it. Without this it is asked of the server."`
	From string `placeholder:"NUMBER:HASH" help:"An end of the log that you kept: the entry of this number must still have this hash."`
}

// Run verifies.
func (c *logVerify) Run(e *env) error {
	if c.File != "" {
		return c.verifyFile(e)
	}
	if c.Key != "" || c.From != "" {
		return errors.New("--key and --from are for an export")
	}
	return withServer(e, func(client *admin.Client) error {
		progress := newProgress(e.stderr, time.Now)
		defer progress.clear()
		result, err := client.VerifyLog(e.ctx, func(done, total uint64) { progress.show("%d of %d entries verified", done, total) })
		if err != nil {
			return fmt.Errorf("verify the log: %w", err)
		}
		progress.clear()
		if e.json {
			if err := printJSON(e.stdout, result); err != nil {
				return err
			}
		}
		if len(result.Faults) > 0 {
			return errors.New(strings.Join(result.Faults, "\n"))
		}
		if e.json {
			return nil
		}
		printVerified(e.stdout, result.Verified)
		for _, b := range result.Bounds {
			fmt.Fprintf(e.stdout, "node %s: entries %d to %d; it ends with %d:%s\n", printable(b.Node), b.First, b.Last, b.Last, b.Hash)
		}
		_, err = fmt.Fprintf(e.stdout, "key %s\n", result.Key)
		return err
	})
}

func printVerified(w io.Writer, v trail.Verified) {
	fmt.Fprintf(w, "All %d entries are as they were written, and so are the %d decisions that they are of.\n", v.Entries, v.Decisions)
}

func (c *logVerify) verifyFile(e *env) error {
	key, err := c.key(e)
	if err != nil {
		return err
	}
	seq, hash, _ := strings.Cut(c.From, ":")
	kept, err := strconv.ParseUint(seq, 10, 63)
	if c.From != "" && (err != nil || len(hash) != 64) {
		return fmt.Errorf("--from %s is not a number, a colon and a hash, as \"gatepost log verify\" prints them", quote(c.From))
	}
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	end := keptEnd{seq: kept, hash: hash, found: c.From == ""}
	result, err := trail.VerifyExport(file, key, end.look)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", c.File, err)
	case !end.found && end.dropped:
		return fmt.Errorf("%s is as it was written, but of entry %d it cannot tell: that was deleted, as old, and it begins at %d", c.File, kept, end.first)
	case !end.found:
		return fmt.Errorf("%s: %w: no entry %d has the hash that you kept", c.File, trail.ErrBroken, kept)
	case e.json:
		return printJSON(e.stdout, result)
	}
	printVerified(e.stdout, result)
	return nil
}

// keptEnd looks in an export for an entry whose hash somebody kept.
type keptEnd struct {
	seq     uint64
	hash    string
	found   bool
	dropped bool   // a node's log begins behind it
	first   uint64 // where
}

func (k *keptEnd) look(l *trail.Line) {
	if b := l.Bounds; b != nil {
		switch {
		case b.First == k.seq+1 && b.Before == k.hash:
			k.found = true
		case b.First > k.seq:
			k.dropped, k.first = true, b.First
		}
		return
	}
	var entry struct {
		Seq uint64 `json:"seq"`
	}
	if json.Unmarshal(l.Entry, &entry) == nil && entry.Seq == k.seq && trail.Hash(l.Entry) == k.hash {
		k.found = true
	}
}

// key is the log's key: the one that is given, or the server's.
func (c *logVerify) key(e *env) (ed25519.PublicKey, error) {
	text := c.Key
	if text == "" {
		err := withServer(e, func(client *admin.Client) error {
			status, err := client.Status(e.ctx)
			text = status.LogKey
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("ask the server for the log's key (or give --key): %w", err)
		}
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("--key %s is not %d bytes in hex", quote(text), ed25519.PublicKeySize)
	}
	return key, nil
}

type logExport struct {
	Format string `enum:"jsonl,ocsf" default:"jsonl" placeholder:"jsonl|ocsf" help:"JSON lines, which \"gatepost log verify\" can verify (default), or events of the Open Cybersecurity Schema Framework."`
	Out    string `placeholder:"FILE" help:"Write to this file, which must not be there, instead of standard output."`
}

// Run exports the log.
func (c *logExport) Run(e *env) error {
	return withServer(e, func(client *admin.Client) (err error) {
		out := e.stdout
		if c.Out != "" {
			file, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, file.Sync(), file.Close()) }()
			out = file
		}
		lines := &lineCounter{w: out}
		if err := client.ExportLog(e.ctx, c.Format, lines); err != nil {
			return fmt.Errorf("export the log: %w", err)
		}
		if c.Out != "" {
			fmt.Fprintf(e.stdout, "%s written to %s\n", counted(lines.n, "line"), c.Out)
		}
		return nil
	})
}

// lineCounter counts the lines that are written through it.
type lineCounter struct {
	w io.Writer
	n int
}

func (c *lineCounter) Write(p []byte) (int, error) {
	c.n += bytes.Count(p, []byte("\n"))
	return c.w.Write(p)
}
