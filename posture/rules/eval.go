package rules

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"gatepost.dev/posture"
)

// evaluation is one run of an expression on a device (interpreter.Activation). It
// builds no maps: names are looked up in the device when they are asked for.
type evaluation struct {
	in     *posture.Input
	maxAge time.Duration
	views  [3]view // facts, source, age

	missing []string // the facts that were asked for and are not known, or too old
}

var evaluations = sync.Pool{New: func() any {
	e := &evaluation{}
	for i := range e.views {
		e.views[i] = view{e, kindOfView(i)}
	}
	return e
}}

// missed is the fact for want of which the evaluation ended with err, or "": another
// fault, such as the key of a map that the expression made itself.
func (e *evaluation) missed(err error) string {
	key, ok := strings.CutPrefix(err.Error(), "no such key: ")
	if !ok || !slices.Contains(e.missing, key) {
		return ""
	}
	return key
}

// run evaluates the expression. missing is the fact for want of which it could not
// be, or "".
func (x *expression) run(in *posture.Input, maxAge time.Duration) (holds bool, missing string, err error) {
	e := evaluations.Get().(*evaluation)
	e.in, e.maxAge, e.missing = in, maxAge, e.missing[:0]
	program := x.program
	if !estimated(in) {
		program = x.guarded
	}
	result, _, err := program.Eval(e)
	holds = result == types.True
	if err != nil {
		missing = e.missed(err)
	}
	e.in = nil
	evaluations.Put(e)
	return err == nil && holds, missing, err
}

// estimated tells whether the device is within what the estimate of an expression's
// cost took it for.
func estimated(in *posture.Input) bool {
	d := in.Device
	if len(d.Facts) > maxEntries || max(len(d.ID), len(d.Serial), len(d.Vendor), len(d.Model), len(d.OS), len(d.OSVersion), len(d.Owner), len(in.App.InstanceID), len(in.App.Name)) > maxLength {
		return false
	}
	for i := range d.Facts {
		if f := &d.Facts[i]; max(len(f.Name), len(f.Value), len(f.Source.Name)) > maxLength {
			return false
		}
	}
	return true
}

// Parent implements interpreter.Activation.
func (e *evaluation) Parent() interpreter.Activation { return nil }

// ResolveName implements interpreter.Activation.
func (e *evaluation) ResolveName(name string) (any, bool) {
	d := e.in.Device
	switch name {
	case "facts":
		return &e.views[viewFacts], true
	case "source":
		return &e.views[viewSource], true
	case "age":
		return &e.views[viewAge], true
	case "now":
		return types.Timestamp{Time: e.in.Now}, true
	case "device.enrolled":
		return types.Bool(d.Enrolled != nil), true
	}
	s, ok := textOf(name, e.in)
	return types.String(s), ok
}

func textOf(name string, in *posture.Input) (string, bool) {
	d := in.Device
	switch name {
	case "device.id":
		return d.ID, true
	case "device.serial":
		return d.Serial, true
	case "device.vendor":
		return d.Vendor, true
	case "device.model":
		return d.Model, true
	case "device.os":
		return d.OS, true
	case "device.os_version":
		return d.OSVersion, true
	case "device.owner", "owner":
		return d.Owner, true
	case "device.platform":
		return platformOf(d.OS), true
	case "application.id":
		return in.App.InstanceID, true
	case "application.name":
		return in.App.Name, true
	}
	return "", false
}

type kindOfView int

const (
	viewFacts kindOfView = iota
	viewSource
	viewAge
)

// view is the facts of a device as a CEL map from their names (traits.Mapper): to
// what they say, who says it, or how old that is.
type view struct {
	e    *evaluation
	kind kindOfView
}

var _ traits.Mapper = (*view)(nil)

// Find implements traits.Mapper.
func (v *view) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	f := v.e.in.Device.Fact(string(name), v.e.maxAge, v.e.in.Now)
	if f == nil {
		v.e.missing = append(v.e.missing, string(name))
		return nil, false
	}
	switch v.kind {
	case viewSource:
		return types.String(f.Source.Name), true
	case viewAge:
		return types.Duration{Duration: v.e.in.Now.Sub(f.ObservedAt)}, true
	}
	return types.String(f.Value), true
}

// Get implements traits.Indexer.
func (v *view) Get(key ref.Val) ref.Val {
	value, ok := v.Find(key)
	if !ok {
		return types.ValOrErr(value, "no such key: %v", key)
	}
	return value
}

// Contains implements traits.Container.
func (v *view) Contains(key ref.Val) ref.Val {
	_, ok := v.Find(key)
	return types.Bool(ok)
}

// names are those of the facts that count.
func (v *view) names() []ref.Val {
	var names []ref.Val
	d := v.e.in.Device
	for i := range d.Facts {
		name := d.Facts[i].Name
		if (i == 0 || d.Facts[i-1].Name != name) && d.Fact(name, v.e.maxAge, v.e.in.Now) != nil {
			names = append(names, types.String(name))
		}
	}
	return names
}

// Size implements traits.Sizer.
func (v *view) Size() ref.Val { return types.Int(len(v.names())) }

// Iterator implements traits.Iterable.
func (v *view) Iterator() traits.Iterator {
	return types.NewRefValList(types.DefaultTypeAdapter, v.names()).Iterator()
}

// ConvertToNative implements ref.Val.
func (v *view) ConvertToNative(reflect.Type) (any, error) { return v, nil }

// ConvertToType implements ref.Val.
func (v *view) ConvertToType(t ref.Type) ref.Val {
	if t == types.MapType {
		return v
	}
	return types.NewErr("type conversion error from map to %v", t)
}

// Equal implements ref.Val.
func (v *view) Equal(other ref.Val) ref.Val {
	m, ok := other.(traits.Mapper)
	names := v.names()
	if !ok || m.Size() != types.Int(len(names)) {
		return types.False
	}
	for _, name := range names {
		said, _ := v.Find(name)
		if theirs, found := m.Find(name); !found || said.Equal(theirs) != types.True {
			return types.False
		}
	}
	return types.True
}

// Type implements ref.Val.
func (v *view) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (v *view) Value() any { return v }
