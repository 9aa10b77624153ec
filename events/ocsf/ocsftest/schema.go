// Package ocsftest validates events by the files of the Open Cybersecurity Schema
// Framework. It shares nothing with the package that makes them, and is for tests
// only.
package ocsftest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// attribute is what the dictionary, a class or an object says of an attribute.
type attribute struct {
	Type        string
	IsArray     *bool `json:"is_array"`
	Requirement string
	Sibling     string
	Enum        map[string]struct{ Caption string }
	Profile     json.RawMessage // absent: as before; null: of no profile
	Deprecated  json.RawMessage `json:"@deprecated"`
}

// definition is a class or an object.
type definition struct {
	UID         *int
	Name        string
	Caption     string
	Category    string
	Extends     string
	Profiles    []string
	Attributes  map[string]json.RawMessage
	Constraints map[string][]string
	Deprecated  json.RawMessage `json:"@deprecated"`
}

// resolved is a definition with all that it inherits.
type resolved struct {
	caption, category string
	uid               *int
	deprecated        bool
	profiles          []string
	attributes        map[string]*attribute
	constraints       map[string][]string
}

type dataType struct {
	Type   string
	Regex  string
	MaxLen int `json:"max_len"`
	Range  []int64
}

type Schema struct {
	version    string
	dictionary map[string]*attribute
	types      map[string]dataType
	categories map[string]struct {
		UID     int
		Caption string
	}
	events, objects map[string]*definition
	cache           sync.Map // of *resolved, by kind and name
}

// classOf and objectOf are resolve, once for each.
func (s *Schema) classOf(name string) (*resolved, error) { return s.cached("class ", s.events, name) }

func (s *Schema) objectOf(name string) (*resolved, error) {
	return s.cached("object ", s.objects, name)
}

func (s *Schema) cached(kind string, in map[string]*definition, name string) (*resolved, error) {
	if r, ok := s.cache.Load(kind + name); ok {
		return r.(*resolved), nil
	}
	r, err := s.resolve(in, name)
	if err != nil {
		return nil, err
	}
	// What a class says of its own numbers follows from where it stands: what was
	// inherited is the parent's.
	for key, number := range map[string]int64{"class_uid": s.classUID(r), "category_uid": int64(s.categories[r.category].UID)} {
		if a := r.attributes[key]; a != nil && in["base_event"] != nil {
			a.Enum = map[string]struct{ Caption string }{fmt.Sprint(number): {map[string]string{"class_uid": r.caption, "category_uid": s.caption(r)}[key]}}
		}
	}
	s.cache.Store(kind+name, r)
	return r, nil
}

// caption is the category's.
func (s *Schema) caption(r *resolved) string {
	if r.category == "other" {
		return "Uncategorized"
	}
	return s.categories[r.category].Caption
}

// profileAttributes are those of the profiles that the events use, by hand: the
// copy of the schema has no profiles. An attribute of any other is unknown.
var profileAttributes = map[string]map[string]string{
	"host": {"actor": `{"requirement":"optional"}`, "device": `{"requirement":"recommended"}`},
	"security_control": {
		"action": `{"requirement":"optional"}`, "disposition": `{"requirement":"optional"}`, "policy": `{"requirement":"optional"}`,
		"action_id": `{"requirement":"recommended"}`, "disposition_id": `{"requirement":"recommended"}`, "is_alert": `{"requirement":"recommended"}`,
	},
}

// Load reads the schema's files in a folder.
func Load(dir string) (*Schema, error) {
	s := &Schema{events: map[string]*definition{}, objects: map[string]*definition{}}
	var version struct{ Version string }
	var dictionary struct {
		Attributes map[string]*attribute
		Types      struct{ Attributes map[string]dataType }
	}
	var categories struct {
		Attributes map[string]struct {
			UID     int
			Caption string
		}
	}
	for name, into := range map[string]any{"version": &version, "dictionary": &dictionary, "categories": &categories} {
		if err := readJSON(filepath.Join(dir, name+".json"), into); err != nil {
			return nil, err
		}
	}
	s.version, s.dictionary, s.types, s.categories = version.Version, dictionary.Attributes, dictionary.Types.Attributes, categories.Attributes
	for pattern, into := range map[string]map[string]*definition{"events/*.json": s.events, "events/*/*.json": s.events, "objects/*.json": s.objects} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(names) == 0 {
			return nil, fmt.Errorf("%s: nothing there: %w", pattern, err)
		}
		for _, name := range names {
			d := new(definition)
			if err := readJSON(name, d); err != nil {
				return nil, err
			}
			into[strings.TrimSuffix(filepath.Base(name), ".json")] = d
		}
	}
	return s, nil
}

func readJSON(name string, into any) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// resolve merges a definition into its parents: what is below overrides, key by
// key, what is above, and the dictionary is above all.
func (s *Schema) resolve(in map[string]*definition, name string) (*resolved, error) {
	d, ok := in[name]
	if !ok {
		return nil, fmt.Errorf("no file of %q", name)
	}
	r := &resolved{attributes: map[string]*attribute{}, constraints: map[string][]string{}}
	if d.Extends != "" {
		parent, err := s.resolve(in, d.Extends)
		if err != nil {
			return nil, err
		}
		r = parent
	}
	r.uid, r.caption, r.deprecated = d.UID, d.Caption, d.Deprecated != nil
	if d.Category != "" {
		r.category = d.Category
	}
	r.profiles = append(r.profiles, d.Profiles...)
	if d.Constraints != nil {
		r.constraints = d.Constraints
	}
	var includes []string
	if listed, ok := d.Attributes["$include"]; ok {
		if err := json.Unmarshal(listed, &includes); err != nil {
			return nil, err
		}
	}
	for _, include := range includes {
		profile := strings.TrimSuffix(filepath.Base(include), ".json")
		for a, text := range profileAttributes[profile] {
			if err := s.merge(r, a, json.RawMessage(text)); err != nil {
				return nil, err
			}
			r.attributes[a].Profile = json.RawMessage(fmt.Sprintf("%q", profile))
		}
	}
	for a, text := range d.Attributes {
		if a == "$include" {
			continue
		}
		if err := s.merge(r, a, text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return r, nil
}

func (s *Schema) merge(r *resolved, name string, text json.RawMessage) error {
	below := new(attribute)
	if err := json.Unmarshal(text, below); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	above := r.attributes[name]
	if above == nil {
		if above = s.dictionary[name]; above == nil {
			return fmt.Errorf("attribute %q is not in the dictionary", name)
		}
	}
	merged := *above
	merged.Enum = map[string]struct{ Caption string }{}
	for _, enum := range []map[string]struct{ Caption string }{above.Enum, below.Enum} {
		for value, caption := range enum {
			merged.Enum[value] = caption
		}
	}
	if below.Requirement != "" {
		merged.Requirement = below.Requirement
	}
	if below.Profile != nil {
		merged.Profile = below.Profile
	}
	if below.Deprecated != nil {
		merged.Deprecated = below.Deprecated
	}
	r.attributes[name] = &merged
	return nil
}

// class is the class of a number.
func (s *Schema) class(uid int64) (*resolved, error) {
	for name := range s.events {
		r, err := s.classOf(name)
		if err != nil {
			return nil, err
		}
		if (r.uid != nil || name == "base_event") && s.classUID(r) == uid {
			return r, nil
		}
	}
	return nil, fmt.Errorf("no class %d", uid)
}

// classUID is the number of a class: its own within its category's thousand.
func (s *Schema) classUID(r *resolved) int64 {
	if r.uid == nil {
		return 0
	}
	return int64(s.categories[r.category].UID*1000 + *r.uid)
}
