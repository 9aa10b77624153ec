package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep the JSON of a request may nest.
const maxDepth = 32

// ReadJSON decodes the body of r, at most DefaultMaxBody bytes, into the value
// that into points to. It is strict where encoding/json is not: unknown,
// doubled or differently cased names, a bare null, invalid UTF-8 and anything
// after the value are refused. What into held before an error is undefined.
//
// Errors are such that Handle answers 415 (not application/json), 413 or 400.
func ReadJSON(r *http.Request, into any) error {
	body, err := ReadJSONBody(r, DefaultMaxBody)
	if err != nil {
		return err
	}
	if err := decodeStrict(body, into); err != nil {
		return &Error{Status: http.StatusBadRequest, Reason: "json_invalid", Public: "The JSON is not valid: " + err.Error() + ".", Err: err}
	}
	return nil
}

// ReadJSONBody is the body of r, at most limit bytes of what claims to be JSON,
// for those who decode it themselves. Errors are such that Handle answers 415
// (not application/json) or 413.
func ReadJSONBody(r *http.Request, limit int) ([]byte, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return nil, &Error{Status: http.StatusUnsupportedMediaType, Reason: "content_type",
			Public: "The Content-Type must be application/json.", Err: err}
	}
	var body []byte
	if arrived, ok := r.Body.(*bufferedBody); ok {
		body = arrived.Bytes()
	} else if body, err = io.ReadAll(io.LimitReader(r.Body, int64(limit)+1)); err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if len(body) > limit {
		return nil, &http.MaxBytesError{Limit: int64(limit)}
	}
	return body, nil
}

func decodeStrict(body []byte, into any) error {
	if !utf8.Valid(body) {
		return errors.New("not UTF-8")
	}
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
		return errors.New("null")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if err := checkNames(d, reflect.TypeOf(into), 0); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	// Unmarshal, unlike Decode, refuses what follows the value.
	err := json.Unmarshal(body, into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		// Its own text names Go types.
		return fmt.Errorf("%s must not be a %s", quote(wrong.Field), wrong.Value)
	}
	return err
}

// checkNames reads one value that is to become a t (nil: anything) and checks
// the names in its objects.
func checkNames(d *json.Decoder, t reflect.Type, depth int) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') && token != json.Delim('[') {
		return nil
	}
	if depth == maxDepth {
		return errors.New("nested too deep")
	}
	members, elem := shape(t)
	seen := make(map[string]bool)
	for d.More() {
		inner := elem
		if token == json.Delim('{') {
			name, err := d.Token()
			if err != nil {
				return err
			}
			key, known := name.(string), true
			if seen[key] {
				return fmt.Errorf("name %s given twice", quote(key))
			}
			seen[key] = true
			if members != nil {
				if inner, known = members[key]; !known {
					return fmt.Errorf("unknown name %s", quote(key))
				}
			}
		}
		if err := checkNames(d, inner, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// quote shows a name that the client sent, not all of it if it is long.
func quote(name string) string {
	return strconv.QuoteToASCII(cut(name, 64))
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// shape gives the members of a struct by name, or the type of the elements of a
// list or map; neither for types that decode themselves and for interfaces.
func shape(t reflect.Type) (members map[string]reflect.Type, elem reflect.Type) {
	for t != nil && t.Kind() == reflect.Pointer && !t.Implements(unmarshaler) {
		t = t.Elem()
	}
	if t == nil || t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler) {
		return nil, nil
	}
	switch t.Kind() {
	case reflect.Struct:
		members = make(map[string]reflect.Type)
		addMembers(members, t)
	case reflect.Slice, reflect.Array, reflect.Map:
		elem = t.Elem()
	}
	return members, elem
}

// addMembers adds the fields of t under the names that encoding/json gives them;
// those of embedded structs last, so that outer names win.
func addMembers(members map[string]reflect.Type, t reflect.Type) {
	var embedded []reflect.Type
	for f := range t.Fields() {
		tag := f.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			embedded = append(embedded, inner)
		case f.IsExported():
			if name == "" {
				name = f.Name
			}
			if _, taken := members[name]; !taken {
				members[name] = f.Type
			}
		}
	}
	for _, e := range embedded {
		addMembers(members, e)
	}
}

// WriteJSON answers with v. Nothing was written when it cannot be encoded.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	return writeJSON(w, status, "application/json", v)
}

// WriteProblem answers with v as application/problem+json, for those whose
// problems have members of their own. Nothing was written when it cannot be
// encoded.
func WriteProblem(w http.ResponseWriter, status int, v any) error {
	return writeJSON(w, status, "application/problem+json", v)
}

// Problem answers with e as application/problem+json (RFC 9457): type
// "about:blank", so the title is the status's name, with the request's reference
// as the extension member "reference".
func Problem(w http.ResponseWriter, _ *http.Request, e *Error, reference string) {
	// Strings and a number always encode, and nobody is left to tell of a
	// failed write.
	_ = WriteProblem(w, e.Status, struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Detail    string `json:"detail"`
		Reference string `json:"reference"`
	}{"about:blank", http.StatusText(e.Status), e.Status, e.Public, reference})
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	body = append(body, '\n')
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}
