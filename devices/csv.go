package devices

import (
	"fmt"
	"io"
	"strings"

	"gatepost.dev/posture"
)

// ParseCSV reads an import file in CSV (RFC 4180): a header that names the
// columns, then a row a line. Unlike there a value cannot hold a line's end.
func ParseCSV(r io.Reader) Rows {
	return func(yield func(Row, error) bool) {
		t := newTable(r)
		header, err := t.readHeader()
		if err != nil {
			yield(Row{}, err)
			return
		}
		if !t.yieldFaults(yield) || header == nil {
			return
		}
		t.decode = header.decode
		t.each(yield)
	}
}

// csvHeader is the columns of a file. One at fault is empty: its values are
// skipped, so that the faults of the rows can be listed all the same.
type csvHeader []string

// readHeader reads the first line. Without a header the rows cannot be read.
func (t *table) readHeader() (csvHeader, error) {
	line, err := t.lines.next()
	switch {
	case err == io.EOF:
		t.lines.number = 1
		t.bad("", "the file is empty; its first line has to name the columns: "+columnNames)
		return nil, nil
	case err == errLongLine:
		t.bad("", fmt.Sprintf("more than %d bytes long", maxLine))
		return nil, nil
	case err != nil:
		return nil, err
	}
	names, problem := splitCSV(string(line), nil)
	if problem != "" {
		t.bad("", problem)
		return nil, nil
	}
	header := csvHeader(names)
	first := make(map[string]int)
	for i, name := range header {
		header[i] = ""
		if problem := checkColumn(name); problem != "" {
			t.bad(columnName(name), problem)
		} else if at, ok := first[name]; ok {
			t.bad(name, fmt.Sprintf("column %d has the same name as column %d", i+1, at+1))
		} else {
			first[name], header[i] = i, name
		}
	}
	if _, ok := first["id"]; !ok {
		t.bad("id", "there is no such column, and every row needs an ID")
		return nil, nil
	}
	return header, nil
}

func (h csvHeader) decode(line []byte, r *posture.Report, bad func(column, problem string)) {
	values, problem := splitCSV(string(line), make([]string, 0, len(h)))
	if problem != "" {
		bad("", problem)
		return
	}
	if len(values) != len(h) {
		bad("", fmt.Sprintf("%d values, but the header names %d columns", len(values), len(h)))
		return
	}
	for i, value := range values {
		if h[i] == "" {
			continue
		}
		if problem := setColumn(r, h[i], value); problem != "" {
			bad(h[i], problem)
		}
	}
}

// splitCSV appends the values of one line to values, or tells what is wrong
// with its quotes.
func splitCSV(line string, values []string) (_ []string, problem string) {
	for {
		var value string
		var more bool
		if strings.HasPrefix(line, `"`) {
			if value, line, problem = unquoteCSV(line[1:]); problem != "" {
				return nil, problem
			}
			if line != "" && line[0] != ',' {
				return nil, "a quoted value goes on after its closing quote; write a quote inside a value twice"
			}
			more = line != ""
			line = strings.TrimPrefix(line, ",")
		} else {
			value, line, more = strings.Cut(line, ",")
			if strings.Contains(value, `"`) {
				return nil, `a quote inside an unquoted value; put the value in quotes and write the quote twice`
			}
		}
		values = append(values, value)
		if !more {
			return values, ""
		}
	}
}

// unquoteCSV gives the value that goes on up to its closing quote, and the rest
// of the line after that.
func unquoteCSV(s string) (value, rest, problem string) {
	for from := 0; ; {
		i := strings.IndexByte(s[from:], '"')
		if i < 0 {
			return "", "", "a quoted value does not end on its line"
		}
		end := from + i
		if strings.HasPrefix(s[end+1:], `"`) {
			from = end + 2
			continue
		}
		return strings.ReplaceAll(s[:end], `""`, `"`), s[end+1:], ""
	}
}
