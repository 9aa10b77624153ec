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
		bad := 0
		result, err := client.Import(e.ctx, file, admin.ImportOptions{Format: format, Source: c.Source, Replace: c.Replace}, func(ev devices.Event) {
			switch {
			case ev.Bad != nil:
				bad++
				p.clear()
				fmt.Fprintf(e.stderr, "%s:%s\n", c.File, printable(ev.Bad.Error()))
			case ev.Total > 0:
				p.show("%d of %d devices written", ev.Applied, ev.Total)
			default:
				p.show("%d rows read", ev.Read)
			}
		})
		p.clear()
		if err != nil {
			return fmt.Errorf("import %s: %w", c.File, err)
		}
		if e.json {
			return printJSON(e.stdout, result)
		}
		fmt.Fprintf(e.stdout, "%d devices made, %d updated, %d as they were, %d made unmanaged\n",
			result.Created, result.Updated, result.Unchanged, result.Unmanaged)
		return nil
	})
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
	return "", fmt.Errorf("cannot tell the format of %q by its name; say --format csv or --format jsonl", c.File)
}
