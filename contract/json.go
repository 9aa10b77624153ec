package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// readObject reads one JSON object into its members. encoding/json lets pass
// what is refused here: names that stand twice at any depth (of which readers
// take different ones), invalid UTF-8, and null for an object.
func readObject(doc []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(doc) {
		return nil, errors.New("invalid UTF-8")
	}
	members, err := membersOf(doc)
	if err != nil {
		return nil, err
	}
	return members, uniqueNames(doc)
}

// membersOf reads an object that may have names twice.
func membersOf(doc []byte) (members map[string]json.RawMessage, err error) {
	if err := json.Unmarshal(doc, &members); err != nil {
		return nil, err
	}
	if members == nil {
		return nil, errors.New("null")
	}
	return members, nil
}

// uniqueNames walks through doc, which is valid JSON.
func uniqueNames(doc []byte) error {
	var open []map[string]bool // a set of names for an object, nil for an array
	name := false              // the next string is a name
	for i := 0; i < len(doc); i++ {
		switch doc[i] {
		case '{':
			open, name = append(open, map[string]bool{}), true
		case '[':
			open, name = append(open, nil), false
		case '}', ']':
			open = open[:len(open)-1]
		case ',':
			name = open[len(open)-1] != nil
		case '"':
			end := stringEnd(doc, i)
			if name {
				key, _ := stringOf(doc[i:end])
				if open[len(open)-1][key] {
					return fmt.Errorf("the name %q twice", key)
				}
				open[len(open)-1][key], name = true, false
			}
			i = end - 1
		}
		if len(open) > maxDepth {
			return fmt.Errorf("deeper than %d", maxDepth)
		}
	}
	return nil
}

// stringEnd returns the index after the string that begins at i.
func stringEnd(doc []byte, i int) int {
	for i++; doc[i] != '"'; i++ {
		if doc[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// stringOf and its kin read a member of that type and no other: json.Unmarshal
// would take null for all of them. raw is valid JSON in valid UTF-8.
func stringOf(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	return s, json.Unmarshal(raw, &s) == nil
}

func boolOf(raw json.RawMessage) (value, ok bool) {
	return string(raw) == "true", string(raw) == "true" || string(raw) == "false"
}

func stringsOf(raw json.RawMessage) (list []string, ok bool) {
	var members []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &members) != nil {
		return nil, false
	}
	list = []string{}
	for _, m := range members {
		s, ok := stringOf(m)
		if !ok {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}

// timeOf reads a NumericDate, seconds since 1970 that may have a fraction (RFC
// 7519 section 2).
func timeOf(raw json.RawMessage) (t time.Time, ok bool) {
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// equal tells whether two values are the same, whatever the order of members and
// the white space. Numbers are the same when they are written the same way.
func equal(a, b json.RawMessage) bool {
	x, okX := anyOf(a)
	y, okY := anyOf(b)
	return okX && okY && reflect.DeepEqual(x, y)
}

func anyOf(raw json.RawMessage) (value any, ok bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return value, d.Decode(&value) == nil
}
