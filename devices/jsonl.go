package devices

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"gatepost.dev/agentapi"
	"gatepost.dev/posture"
)

// ParseJSONL reads an import file of JSON lines: one object a line, whose names
// are those of the CSV columns. Values are strings; managed and compliant may
// be truth values too.
func ParseJSONL(r io.Reader) Rows {
	return func(yield func(Row, error) bool) {
		t := newTable(r)
		d := jsonDecoder{dec: jsontext.NewDecoder(bytes.NewReader(nil))}
		t.decode = d.decode
		t.each(yield)
	}
}

type jsonDecoder struct{ dec *jsontext.Decoder }

func (d *jsonDecoder) decode(line []byte, r *posture.Report, bad func(column, problem string)) {
	d.dec.Reset(bytes.NewReader(line))
	if d.dec.PeekKind() != '{' {
		bad("", "not a JSON object: write {...} on one line")
		return
	}
	if _, err := d.dec.ReadToken(); err != nil {
		bad("", jsonProblem(err))
		return
	}
	for d.dec.PeekKind() != '}' {
		name, err := d.dec.ReadToken()
		if err != nil {
			bad("", jsonProblem(err))
			return
		}
		column := name.String() // before the next read: the token is only valid until then
		problem := checkColumn(column)
		if problem != "" {
			err = d.dec.SkipValue()
		} else {
			problem, err = d.value(r, column)
		}
		if err != nil {
			bad("", jsonProblem(err))
			return
		}
		if problem != "" {
			bad(columnName(column), problem)
		}
	}
	if _, err := d.dec.ReadToken(); err != nil { // the closing brace
		bad("", jsonProblem(err))
		return
	}
	if _, err := d.dec.ReadToken(); err != io.EOF {
		bad("", "something stands after the object; write one object a line")
	}
}

// value reads the value of a known column.
func (d *jsonDecoder) value(r *posture.Report, column string) (problem string, err error) {
	isBool := column == "managed" || column == "compliant"
	switch kind := d.dec.PeekKind(); {
	case kind == '"', isBool && (kind == 't' || kind == 'f'):
		token, err := d.dec.ReadToken()
		if err != nil {
			return "", err
		}
		return setColumn(r, column, token.String()), nil
	case isBool:
		return "not a truth value: write true or false, or leave it out", d.dec.SkipValue()
	default:
		return "not a string: write it in quotes, or leave it out", d.dec.SkipValue()
	}
}

// columnName is a name from the file, made fit to print.
func columnName(name string) string {
	if name == "" || agentapi.CheckText(name) != "" {
		return quote(name)
	}
	return name
}

// jsonProblem says what is wrong with the JSON of one line.
func jsonProblem(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "not valid JSON: the line ends inside the object"
	}
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return "not valid JSON: " + err.Error()
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return fmt.Sprintf("the name %s comes twice", quote(syntax.JSONPointer.LastToken()))
	}
	return fmt.Sprintf("not valid JSON at byte %d: %v", syntax.ByteOffset+1, syntax.Err)
}
