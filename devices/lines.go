package devices

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

var errLongLine = errors.New("line too long")

// lines reads lines of at most maxLine bytes, ended by LF or CR LF.
type lines struct {
	r      *bufio.Reader
	number int // of the line that next gave last
}

func newLines(r io.Reader) *lines {
	return &lines{r: bufio.NewReaderSize(r, maxLine+len("\r\n"))}
}

// next gives the next line that is not empty, without its end; it is valid
// until the next call. After errLongLine reading can go on; io.EOF is the end.
func (l *lines) next() ([]byte, error) {
	for {
		text, err := l.r.ReadSlice('\n')
		if len(text) > 0 {
			l.number++
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, l.skip()
		}
		if err != nil && (err != io.EOF || len(text) == 0) {
			return nil, err
		}
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		if l.number == 1 {
			text = bytes.TrimPrefix(text, []byte("\uFEFF")) // the byte order mark that spreadsheets write
		}
		switch {
		case len(text) > maxLine:
			return nil, errLongLine
		case len(text) > 0:
			return text, nil
		}
	}
}

// skip reads to the end of a line that is too long.
func (l *lines) skip() error {
	for {
		switch _, err := l.r.ReadSlice('\n'); {
		case err == nil || err == io.EOF:
			return errLongLine
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}
