package devices

import (
	"fmt"
	"hash/maphash"
	"io"
	"iter"

	"gatepost.dev/posture"
)

// Format is how an import file is written.
type Format string

// The formats.
const (
	CSV   Format = "csv"   // RFC 4180 with a header; a value ends on its line
	JSONL Format = "jsonl" // one JSON object a line, with the names of the CSV columns
)

// Rows are the rows of an import file in its order: for each good row the Row;
// for each fault a *RowError, after which the file goes on (a bad row may have
// several, and gives no Row); for any other error that error, as the last.
type Rows = iter.Seq2[Row, error]

// decoder reads the row on one line into the report and calls bad for each of
// its faults.
type decoder func(line []byte, r *posture.Report, bad func(column, problem string))

// table turns the lines of a file into rows.
type table struct {
	lines  *lines
	decode decoder
	faults []RowError // of the row at hand

	// The line of each ID, for naming the first when one comes twice. Only a
	// hash is kept, for memory: with a random seed two IDs of a file of 10^6
	// rows collide once in some 10^7 imports, and the file is refused then.
	seed maphash.Seed
	seen map[uint64]uint32
}

func newTable(r io.Reader) *table {
	return &table{lines: newLines(r), seed: maphash.MakeSeed(), seen: make(map[uint64]uint32)}
}

// each yields the rows on the lines that are left.
func (t *table) each(yield func(Row, error) bool) {
	for {
		row, err := t.next()
		switch {
		case err == io.EOF:
			return
		case err != nil:
			yield(Row{}, err)
			return
		case len(t.faults) > 0:
			if !t.yieldFaults(yield) {
				return
			}
		case !yield(row, nil):
			return
		}
	}
}

func (t *table) yieldFaults(yield func(Row, error) bool) bool {
	for _, f := range t.faults {
		if !yield(Row{}, &f) {
			return false
		}
	}
	return true
}

// next reads one row. It is good if there are no faults then.
func (t *table) next() (Row, error) {
	t.faults = t.faults[:0]
	line, err := t.lines.next()
	row := Row{Line: t.lines.number}
	if err == errLongLine {
		t.bad("", fmt.Sprintf("more than %d bytes long", maxLine))
		return row, nil
	}
	if err != nil {
		return row, err
	}
	t.decode(line, &row.Report, t.bad)
	if column, problem := checkRow(&row.Report); problem != "" && !t.blamed(column) {
		t.bad(column, problem)
	}
	if id := row.Report.DeviceID; id != "" {
		t.checkUnique(id)
	}
	if len(t.seen) > maxRows {
		return row, fmt.Errorf("line %d: more than %d devices in one file", row.Line, maxRows)
	}
	return row, nil
}

func (t *table) checkUnique(id string) {
	hash := maphash.String(t.seed, id)
	if first, ok := t.seen[hash]; ok {
		t.bad("id", fmt.Sprintf("%s stands on line %d already", quote(id), first))
		return
	}
	t.seen[hash] = uint32(t.lines.number)
}

func (t *table) bad(column, problem string) {
	t.faults = append(t.faults, RowError{Line: t.lines.number, Column: column, Problem: problem})
}

// blamed tells whether a fault of the row at hand is in this column already, or
// in the row as a whole: what follows from that need not be said.
func (t *table) blamed(column string) bool {
	for _, f := range t.faults {
		if f.Column == column || f.Column == "" {
			return true
		}
	}
	return false
}
