package admin

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"gatepost.dev/posture"
)

// schemas are those of the types that have names of their own.
type schemas struct{ named map[string]*jsonschema.Schema }

// of gives the schema of a type: of structs a reference to a component, so that
// each is there once.
func (s *schemas) of(t reflect.Type) (*jsonschema.Schema, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.Name() == "" {
		return s.plain(t)
	}
	name := componentName(t)
	reference := &jsonschema.Schema{Ref: "#/components/schemas/" + name}
	if _, known := s.named[name]; known {
		return reference, nil
	}
	s.named[name] = nil // for those that it holds of itself
	schema, err := s.plain(t)
	s.named[name] = schema
	return reference, err
}

// componentName tells apart the types of packages that name them alike.
func componentName(t reflect.Type) string {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if pkg := t.PkgPath(); !strings.HasSuffix(pkg, "/admin") {
		dir := pkg[strings.LastIndexByte(pkg, '/')+1:]
		return strings.ToUpper(dir[:1]) + dir[1:] + name
	}
	return name
}

// plain is the schema of a type, with those of the structs that it holds as
// references.
func (s *schemas) plain(t reflect.Type) (*jsonschema.Schema, error) {
	known := map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time]():       {Type: "string", Format: "date-time"},
		reflect.TypeFor[json.RawMessage](): {},
		reflect.TypeFor[[]byte]():          {Type: "string", ContentEncoding: "base64"},
		reflect.TypeFor[time.Duration]():   {Type: "integer", Description: "nanoseconds"},
		reflect.TypeFor[posture.Role]():    {Type: "string", Enum: enumOf(posture.Roles())},
		reflect.TypeFor[TokenState]():      {Type: "string", Enum: enumOf([]TokenState{TokenUsable, TokenUsed, TokenExpired, TokenRevoked, TokenIdle})},
		reflect.TypeFor[Origin]():          {Type: "string", Enum: enumOf([]Origin{FromFile, FromStore})},
	}
	for _, held := range heldBy(t) {
		if held == reflect.TypeFor[time.Time]() {
			continue
		}
		reference, err := s.of(held)
		if err != nil {
			return nil, err
		}
		known[held] = reference
	}
	schema, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: known})
	if err != nil {
		return nil, err
	}
	for _, member := range schema.Properties {
		tidy(member)
	}
	tidy(schema)
	return schema, nil
}

func enumOf[T any](values []T) (enum []any) {
	for _, v := range values {
		enum = append(enum, v)
	}
	return enum
}

// tidy takes away that lists, and what is left out when it is nil, may be null:
// none is.
func tidy(s *jsonschema.Schema) {
	switch {
	case len(s.Types) == 2 && s.Types[0] == "null":
		s.Type, s.Types = s.Types[1], nil
	case len(s.Types) == 1 && s.Ref != "": // which says the type
		s.Types = nil
	}
	if s.Items != nil {
		tidy(s.Items)
	}
}

// heldBy gives the structs with names in the fields of t, those of embedded
// structs among them.
func heldBy(t reflect.Type) (held []reflect.Type) {
	if t.Kind() != reflect.Struct {
		if t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			return heldBy(reflect.StructOf([]reflect.StructField{{Name: "X", Type: t}}))
		}
		return nil
	}
	for f := range t.Fields() {
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
			inner = inner.Elem()
		}
		switch {
		case inner.Kind() != reflect.Struct:
		case f.Anonymous:
			held = append(held, heldBy(inner)...)
		default:
			held = append(held, inner)
		}
	}
	return held
}

// demanded are the members that a request must have. What is true or false is
// false if it is left out.
func demanded(s *jsonschema.Schema) []string {
	return slices.DeleteFunc(slices.Clone(s.Required), func(name string) bool { return s.Properties[name].Type == "boolean" })
}
