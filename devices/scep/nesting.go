package scep

import "errors"

// maxNesting is how deep a message may be nested; real ones are 12 deep.
const maxNesting = 32

var errNesting = errors.New("malformed, or nested too deep")

// checkNesting refuses BER that is nested too deep. The library copies what is in
// each level once more, which takes seconds for a message that is nothing but
// levels.
func checkNesting(ber []byte) error {
	if _, ok := skip(ber, maxNesting); !ok {
		return errNesting
	}
	return nil
}

// skip gives what follows the first element.
func skip(ber []byte, depth int) (rest []byte, ok bool) {
	constructed, indefinite, length, body, ok := header(ber)
	if !ok || depth == 0 || indefinite && !constructed {
		return nil, false
	}
	if !constructed {
		return body[length:], true
	}
	inner := body
	if !indefinite {
		inner = body[:length]
	}
	for {
		switch {
		case !indefinite && len(inner) == 0:
			return body[length:], true
		case indefinite && len(inner) >= 2 && inner[0] == 0 && inner[1] == 0:
			return inner[2:], true
		}
		if inner, ok = skip(inner, depth-1); !ok {
			return nil, false
		}
	}
}

// header reads a tag and a length (X.690 sections 8.1.2 and 8.1.3). body begins
// behind them and has at least length bytes.
func header(ber []byte) (constructed, indefinite bool, length int, body []byte, ok bool) {
	if len(ber) < 2 {
		return false, false, 0, nil, false
	}
	constructed = ber[0]&0x20 != 0
	rest := ber[1:]
	if ber[0]&0x1f == 0x1f { // a tag of more bytes, which no message has
		return false, false, 0, nil, false
	}
	first := rest[0]
	rest = rest[1:]
	switch {
	case first == 0x80:
		return constructed, true, 0, rest, true
	case first < 0x80:
		length = int(first)
	default:
		n := int(first & 0x7f)
		if n > 4 || len(rest) < n {
			return false, false, 0, nil, false
		}
		for _, b := range rest[:n] {
			length = length<<8 | int(b)
		}
		rest = rest[n:]
	}
	if length < 0 || length > len(rest) {
		return false, false, 0, nil, false
	}
	return constructed, false, length, rest, true
}
