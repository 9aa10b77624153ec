package posture

import (
	"encoding/json"
	"slices"
)

// OwnerBinding is what a relying party makes of a managed device that is not the
// own one of the user whom the answer is about.
type OwnerBinding string

// The bindings. The empty one is BindOff.
const (
	BindOff     OwnerBinding = "off"     // it counts all the same
	BindWarn    OwnerBinding = "warn"    // it counts, and the verdict has a warning
	BindEnforce OwnerBinding = "enforce" // it is not managed
)

// UnmarshalJSON takes any word, and what was written when there were two
// bindings only: true for BindEnforce and false for BindOff.
func (b *OwnerBinding) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "true":
		*b = BindEnforce
		return nil
	case "false":
		*b = BindOff
		return nil
	}
	return json.Unmarshal(data, (*string)(b))
}

// BindOwner is the verdict on a device that by binding must be the subject's own:
// v, unless somebody else owns the device or nobody is known to. Case does not
// tell users apart, in ASCII. A word that is none binds as BindEnforce does.
func BindOwner(v Verdict, d *Device, subject string, binding OwnerBinding) Verdict {
	if !v.Managed || (subject != "" && FoldUser(d.Owner) == FoldUser(subject)) {
		return v
	}
	switch binding {
	case "", BindOff:
		return v
	case BindWarn:
		v.Warnings = append(slices.Clip(v.Warnings), OwnerMismatch)
		return v
	}
	return Verdict{Reason: OwnerMismatch, Quarantine: v.Quarantine}
}

// FoldUser is the name under which a user is the same whatever the case it was
// written in. It folds ASCII only: Unicode folding would make one of letters that
// only look alike.
func FoldUser(name string) string {
	folded := []byte(name)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}
