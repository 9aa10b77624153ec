package ocsftest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// check is the validation of one event.
type check struct {
	*Schema
	profiles []string // that the event says it has
	faults   []string
}

// Validate lists what is wrong with an event.
func (s *Schema) Validate(text []byte) (faults []string) {
	if !utf8.Valid(text) {
		return []string{"it is not UTF-8"}
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var event map[string]any
	if err := decoder.Decode(&event); err != nil {
		return []string{"it is no JSON object: " + err.Error()}
	}
	if _, err := decoder.Token(); err != io.EOF {
		return []string{"something follows the event"}
	}
	uid, _ := integer(event["class_uid"])
	r, err := s.class(uid)
	if err != nil {
		return []string{err.Error()}
	}
	c := &check{Schema: s}
	c.readProfiles(event, r)
	c.classification(event, r)
	c.object("", event, r)
	return c.faults
}

func (c *check) fault(path, format string, args ...any) {
	c.faults = append(c.faults, strings.TrimPrefix(path, ".")+": "+fmt.Sprintf(format, args...))
}

func (c *check) readProfiles(event map[string]any, r *resolved) {
	metadata, _ := event["metadata"].(map[string]any)
	if version, _ := metadata["version"].(string); version != c.version {
		c.fault("metadata.version", "%q is not the schema's %q", version, c.version)
	}
	listed, _ := metadata["profiles"].([]any)
	for _, p := range listed {
		name, _ := p.(string)
		if !slices.Contains(r.profiles, name) {
			c.fault("metadata.profiles", "the class has no profile %q", name)
		}
		if slices.Contains(c.profiles, name) {
			c.fault("metadata.profiles", "%q is there twice", name)
		}
		c.profiles = append(c.profiles, name)
	}
}

// classification checks the number of the type, which follows from the class and
// the activity, and its caption.
func (c *check) classification(event map[string]any, r *resolved) {
	class := c.classUID(r)
	activity, _ := integer(event["activity_id"])
	name, _ := event["activity_name"].(string)
	if got, ok := integer(event["type_uid"]); !ok || got != class*100+activity {
		c.fault("type_uid", "%v, want %d", event["type_uid"], class*100+activity)
	}
	if got, want := event["type_name"], r.caption+": "+name; got != nil && got != want {
		c.fault("type_name", "%q, want %q", got, want)
	}
}

// active tells whether the attribute is there for this event, or only with a
// profile that it does not have.
func (c *check) active(a *attribute) bool {
	var profile string
	if a.Profile == nil || json.Unmarshal(a.Profile, &profile) != nil || profile == "" {
		return true
	}
	return slices.Contains(c.profiles, profile)
}

func (c *check) object(path string, object map[string]any, r *resolved) {
	if r.deprecated {
		c.fault(path, "the object is deprecated")
	}
	for name, value := range object {
		a, at := r.attributes[name], path+"."+name
		switch {
		case a == nil:
			c.fault(at, "unknown attribute")
		case !c.active(a):
			c.fault(at, "attribute of the profile %s, which the event has not", a.Profile)
		case a.Deprecated != nil:
			c.fault(at, "deprecated attribute")
		case value == nil:
			c.fault(at, "null")
		default:
			c.attribute(at, value, a)
			c.sibling(at, object, value, a)
		}
	}
	for name, a := range r.attributes {
		if a.Requirement != "required" || !c.active(a) {
			continue
		}
		if value, ok := object[name]; !ok || value == "" {
			c.fault(path+"."+name, "required attribute is missing or empty")
		}
	}
	c.constraints(path, object, r)
}

func (c *check) constraints(path string, object map[string]any, r *resolved) {
	for kind, names := range r.constraints {
		n := 0
		for _, name := range names {
			if value, ok := object[name]; ok && value != "" {
				n++
			}
		}
		switch {
		case kind == "at_least_one" && n < 1, kind == "just_one" && n != 1:
			c.fault(path, "%s of %s: %d are there", kind, strings.Join(names, ", "), n)
		case kind != "at_least_one" && kind != "just_one":
			c.fault(path, "the validator does not know the constraint %q", kind)
		}
	}
}

func (c *check) attribute(path string, value any, a *attribute) {
	if a.IsArray == nil || !*a.IsArray {
		c.value(path, value, a)
		return
	}
	list, ok := value.([]any)
	if !ok || len(list) == 0 {
		c.fault(path, "%T, want an array that is not empty", value)
		return
	}
	for i, v := range list {
		c.value(fmt.Sprintf("%s[%d]", path, i), v, a)
	}
}

func (c *check) value(path string, value any, a *attribute) {
	if strings.HasSuffix(a.Type, "_t") {
		c.scalar(path, value, a.Type)
		if len(a.Enum) > 0 {
			if _, ok := a.Enum[fmt.Sprint(value)]; !ok {
				c.fault(path, "%v is not in the enumeration", value)
			}
		}
		return
	}
	object, ok := value.(map[string]any)
	if !ok {
		c.fault(path, "%T, want an object %s", value, a.Type)
		return
	}
	if a.Type == "object" {
		return // anything goes
	}
	r, err := c.objectOf(a.Type)
	if err != nil {
		c.fault(path, "%v", err)
		return
	}
	c.object(path, object, r)
}

// sibling checks that the caption beside a number is the enumeration's, or the
// source's own where the number is 99.
func (c *check) sibling(path string, object map[string]any, value any, a *attribute) {
	caption, known := a.Enum[fmt.Sprint(value)]
	if a.Sibling == "" || !known {
		return
	}
	got, there := object[a.Sibling]
	switch {
	case fmt.Sprint(value) == "99":
		if !there || got == "" {
			c.fault(path, "99 needs its caption in %s", a.Sibling)
		}
	case there && got != caption.Caption:
		c.fault(path, "%v is %q, but %s says %q", value, caption.Caption, a.Sibling, got)
	}
}

// scalar checks a value against its type and those that the type is made of.
func (c *check) scalar(path string, value any, name string) {
	t, ok := c.types[name]
	if !ok {
		c.fault(path, "unknown type %q", name)
		return
	}
	if t.Type != "" {
		c.scalar(path, value, t.Type)
	}
	text, isText := value.(string)
	n, isInteger := integer(value)
	good := true
	switch name {
	case "string_t":
		good = isText
	case "boolean_t":
		_, good = value.(bool)
	case "integer_t": // 32 bits where events become columns
		good = isInteger && int64(int32(n)) == n
	case "long_t":
		good = isInteger
	case "float_t":
		number, is := value.(json.Number)
		_, err := strconv.ParseFloat(string(number), 64)
		good = is && err == nil
	case "ip_t": // the schema's expression takes any character for a dot
		_, err := netip.ParseAddr(text)
		good = err == nil
	}
	switch {
	case !good:
		c.fault(path, "%.40v is no %s", value, name)
	case t.Regex != "" && !pattern(t.Regex).MatchString(text):
		c.fault(path, "%.40q does not match %s", text, name)
	case t.MaxLen > 0 && len(text) > t.MaxLen:
		c.fault(path, "%d bytes, %d are the most of %s", len(text), t.MaxLen, name)
	case len(t.Range) == 2 && (n < t.Range[0] || n > t.Range[1]):
		c.fault(path, "%d is out of the range of %s", n, name)
	}
}

func integer(value any) (int64, bool) {
	number, ok := value.(json.Number)
	n, err := strconv.ParseInt(string(number), 10, 64)
	return n, ok && err == nil
}

var patterns sync.Map // compiled regular expressions, which are slow to make

func pattern(text string) *regexp.Regexp {
	if p, ok := patterns.Load(text); ok {
		return p.(*regexp.Regexp)
	}
	p := regexp.MustCompile(text)
	patterns.Store(text, p)
	return p
}
