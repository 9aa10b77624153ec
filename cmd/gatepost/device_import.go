package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/devices"
)

type deviceImport struct {
	File    string `arg:"" type:"existingfile" help:"File of devices; - reads standard input."`
	Format  string `enum:",csv,jsonl" default:"" placeholder:"csv|jsonl" help:"Default: by the file's ending."`
	Source  string `default:"import" help:"Who says what the file says."`
	Replace bool   `help:"Also make unmanaged what this source named before and does not name now."`
	Approve bool   `help:"Let it through although it makes more than 20 % of the devices unmanaged that this source calls managed; the server logs that."`
}

// Run imports the file. Every bad row is named, and then nothing is imported.
func (c *deviceImport) Run(e *env) error {
	format, err := c.format()
	if err != nil {
		return err
	}
	file := os.Stdin
	if c.File != "-" {
		if file, err = os.Open(c.File); err != nil {
			return err
		}
		defer file.Close()
	}
	return withServer(e, func(client *admin.Client) error {
		p := newProgress(e.stderr, time.Now)
		result, err := client.Import(e.ctx, file, admin.ImportOptions{Format: format, Source: c.Source, Replace: c.Replace, Approve: c.Approve}, func(ev devices.Event) {
			switch {
			case ev.Bad != nil:
				p.clear()
				fmt.Fprintln(e.stderr, c.where(ev.Bad))
			case ev.Total > 0:
				p.show("%d of %d devices written", ev.Applied, ev.Total)
			default:
				p.show("%d rows read", ev.Read)
			}
		})
		p.clear()
		if err != nil {
			return fmt.Errorf("import %s: %w", c.name(), err)
		}
		if e.json {
			return printJSON(e.stdout, result)
		}
		fmt.Fprintf(e.stdout, "%s made, %d updated, %d as before, %d made unmanaged\n",
			counted(result.Created, "device"), result.Updated, result.Unchanged, result.Unmanaged)
		return nil
	})
}

// name is how errors call the file.
func (c *deviceImport) name() string {
	if c.File == "-" {
		return "standard input"
	}
	return c.File
}

// where says what is wrong with a row, in the form of compilers.
func (c *deviceImport) where(bad *devices.RowError) string {
	text := bad.Problem
	if bad.Column != "" {
		text = bad.Column + ": " + text
	}
	return fmt.Sprintf("%s:%d: %s", c.name(), bad.Line, printable(text))
}

func (c *deviceImport) format() (devices.Format, error) {
	if c.Format != "" {
		return devices.Format(c.Format), nil
	}
	switch strings.ToLower(filepath.Ext(c.File)) {
	case ".csv":
		return devices.CSV, nil
	case ".jsonl", ".ndjson":
		return devices.JSONL, nil
	}
	return "", fmt.Errorf("cannot tell the format of %s by its name; say --format csv or --format jsonl", c.name())
}
