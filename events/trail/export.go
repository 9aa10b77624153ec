package trail

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// An export is JSON lines: for each node one with its bounds, followed by all its
// entries, each with the record of its decision.

// Line is a line of an export.
type Line struct {
	Bounds   *Bounds
	Entry    json.RawMessage // as it is kept
	Decision json.RawMessage // the record of the entry's decision; nil: it is of none, or it is lost
}

// Append adds the line to dst, with its end.
func (l *Line) Append(dst []byte) ([]byte, error) {
	if l.Bounds != nil {
		encoded, err := json.Marshal(l.Bounds)
		return append(append(append(dst, `{"bounds":`...), encoded...), "}\n"...), err
	}
	dst = append(append(dst, `{"entry":`...), l.Entry...)
	if l.Decision != nil {
		dst = append(append(dst, `,"decision":`...), l.Decision...)
	}
	return append(dst, "}\n"...), nil
}

// parseLine reads a line that Append wrote, and no other.
func parseLine(text []byte) (l Line, err error) {
	var parts struct {
		Bounds          *Bounds
		Entry, Decision json.RawMessage
	}
	if err := json.Unmarshal(text, &parts); err != nil {
		return l, err
	}
	l = Line{parts.Bounds, parts.Entry, parts.Decision}
	if again, err := l.Append(nil); err != nil || !bytes.Equal(again, text) {
		return l, errors.New("it is written otherwise than the server writes")
	}
	return l, nil
}

// Verified is what was found in order.
type Verified struct {
	Nodes     int    `json:"nodes"`
	Entries   uint64 `json:"entries"`
	Decisions int    `json:"decisions"` // of the entries, those whose decision was checked too
}

// maxLine is more bytes than an entry and its decision have.
const maxLine = 8 << 20

// VerifyExport checks an export whose bounds key must have signed: ErrBroken, with
// the line. each is called with what is in order, before it is known that all is;
// it may be nil.
func VerifyExport(r io.Reader, key ed25519.PublicKey, each func(*Line)) (total Verified, err error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	var v *Verifier
	end := func() error {
		if v == nil {
			return nil
		}
		entries, decisions, err := v.End()
		total.Nodes, total.Entries, total.Decisions = total.Nodes+1, total.Entries+entries, total.Decisions+decisions
		return err
	}
	for n := 1; ; n++ {
		text, err := readLine(lines)
		if err == io.EOF {
			break
		}
		if err != nil {
			return total, fmt.Errorf("line %d: %w", n, err)
		}
		l, err := parseLine(text)
		switch {
		case err != nil:
			return total, fmt.Errorf("%w: line %d: %w", ErrBroken, n, err)
		case l.Bounds != nil:
			if err := end(); err != nil {
				return total, fmt.Errorf("line %d: %w", n, err)
			}
			if v != nil && l.Bounds.Node <= v.bounds.Node {
				return total, fmt.Errorf("%w: line %d: node %q is not in its place", ErrBroken, n, l.Bounds.Node)
			}
			if v, err = NewVerifier(*l.Bounds, key); err != nil {
				return total, fmt.Errorf("line %d: %w", n, err)
			}
		case v == nil:
			return total, fmt.Errorf("%w: line %d: an entry of no node", ErrBroken, n)
		default:
			e, err := v.Add(l.Entry, func(string) ([]byte, error) { return l.Decision, nil })
			if err != nil {
				return total, fmt.Errorf("line %d: %w", n, err)
			}
			if e.Decision == "" && l.Decision != nil {
				return total, fmt.Errorf("%w: line %d: a decision that the entry is not of", ErrBroken, n)
			}
		}
		if each != nil {
			each(&l)
		}
	}
	if v == nil {
		return total, fmt.Errorf("%w: there is nothing in it", ErrBroken)
	}
	return total, end()
}

// readLine reads to the end of a line, which must be there.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case err == io.EOF && len(line) == 0:
			return nil, io.EOF
		case err == io.EOF:
			return nil, fmt.Errorf("%w: the last line is cut", ErrBroken)
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > maxLine:
			return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrBroken, maxLine)
		}
	}
}
