package admin

import (
	"encoding/json"
	"fmt"
	"io"
)

// readLines calls each with every line of a stream until it says that it was the
// last. A stream that ends before is an error, which begins with brokeOff.
func readLines[T any](body io.Reader, brokeOff string, each func(line *T) (last bool, err error)) error {
	for lines := json.NewDecoder(body); ; {
		var line T
		if err := lines.Decode(&line); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("%s: %w", brokeOff, err)
		}
		if last, err := each(&line); last || err != nil {
			return err
		}
	}
}
