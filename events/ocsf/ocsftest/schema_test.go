package ocsftest

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func loadSchema(t *testing.T) *Schema {
	t.Helper()
	s, err := Load("../../../testdata/ocsf")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestJustOne is apart, as no class that is used comes to an object of which just
// one attribute must be there.
func TestJustOne(t *testing.T) {
	s := loadSchema(t)
	r := &resolved{attributes: map[string]*attribute{}, constraints: map[string][]string{"just_one": {"name", "uid"}}}
	for _, name := range r.constraints["just_one"] {
		r.attributes[name] = s.dictionary[name]
	}
	for n, names := range [][]string{{}, {"name"}, {"name", "uid"}} {
		object := map[string]any{}
		for _, name := range names {
			object[name] = "x"
		}
		c := &check{Schema: s}
		c.object("", object, r)
		if good := len(c.faults) == 0; good != (n == 1) {
			t.Errorf("%d attributes of just one: found %q", n, c.faults)
		}
	}
	r.constraints = map[string][]string{"at_most_one": {"name"}}
	c := &check{Schema: s}
	if c.object("", map[string]any{"name": "x"}, r); len(c.faults) != 1 {
		t.Errorf("a constraint that is not known: found %q", c.faults)
	}
}

// TestProfilesAreKnown shows that the attributes that are written down here are
// the schema's.
func TestProfilesAreKnown(t *testing.T) {
	s := loadSchema(t)
	base, err := s.classOf("base_event")
	if err != nil {
		t.Fatal(err)
	}
	for _, profile := range slices.Sorted(maps.Keys(profileAttributes)) {
		if !slices.Contains(base.profiles, profile) {
			t.Errorf("the base event has no profile %q", profile)
		}
		for name := range profileAttributes[profile] {
			if base.attributes[name] == nil {
				t.Errorf("profile %s: attribute %q was not taken into the base event", profile, name)
			}
		}
	}
}

// TestSchemaIsWhole shows that the copy has every file that the classes lead to:
// what is missing could not be checked.
func TestSchemaIsWhole(t *testing.T) {
	s := loadSchema(t)
	seen := map[string]bool{}
	var follow func(r *resolved)
	follow = func(r *resolved) {
		for name, a := range r.attributes {
			if strings.HasSuffix(a.Type, "_t") {
				if _, ok := s.types[a.Type]; !ok {
					t.Errorf("attribute %q has the type %q, which the dictionary does not know", name, a.Type)
				}
				continue
			}
			if seen[a.Type] {
				continue
			}
			seen[a.Type] = true
			object, err := s.objectOf(a.Type)
			if err != nil {
				t.Errorf("attribute %q: %v", name, err)
				continue
			}
			follow(object)
		}
	}
	var uids []int64
	for _, uid := range []int64{0, 2003, 3002, 5001, 6003} {
		r, err := s.class(uid)
		if err != nil {
			t.Error(err)
			continue
		}
		uids = append(uids, uid)
		follow(r)
	}
	if len(uids) != 5 || len(seen) < 80 {
		t.Errorf("classes %v lead to %d objects: this test looks in the wrong place", uids, len(seen))
	}
	for object, want := range map[string]string{"metadata": "version", "device": "type_id", "certificate": "issuer"} {
		if !slices.Contains(required(t, s, object), want) {
			t.Errorf("%s: that %s is required was not read", object, want)
		}
	}
}

func required(t *testing.T, s *Schema, object string) (names []string) {
	t.Helper()
	r, err := s.objectOf(object)
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range r.attributes {
		if a.Requirement == "required" {
			names = append(names, name)
		}
	}
	return names
}
