package contract

import (
	"strings"
	"unicode/utf8"
)

// Device is what an assertion says of the device itself. Empty fields are left
// out of the XML (device-posture.xsd: all five attributes are optional).
type Device struct {
	ID, Vendor, Model, OS, OSVersion string
}

// Fact is one named value of the posture.
type Fact struct {
	Name, Value string
}

// Attestation is one statement that somebody else made of the device, as text.
type Attestation struct {
	Type, Value string
}

// Posture is the content of the posture extension: the Device element with its
// Facts and Attestations in the order in which they stand.
type Posture struct {
	Device       Device
	Facts        []Fact
	Attestations []Attestation
}

// Check returns the requirements that p breaks, nil when it breaks none. It does
// not allocate then, and reads p only: it stands on the way of every answer.
func (p *Posture) Check() []Finding {
	var found []Finding
	if p.Device.ID == "" {
		found = append(found, broken(deviceID, "the Device has no ID"))
	}
	found = p.checkCharacters(found)
	found = p.checkVerdict(found, FactManaged, managedOnce, managedValue)
	found = p.checkVerdict(found, FactCompliant, compliantOnce, compliantValue)
	for i := range p.Facts {
		if p.Facts[i].Name == "" {
			found = append(found, broken(factName, "Fact number %d has an empty Name", i+1))
		}
	}
	if name, twice := p.repeatedFact(); twice {
		found = append(found, broken(factRepeated, "Fact %q is there twice", name))
	}
	for i := range p.Attestations {
		if p.Attestations[i].Type == "" {
			found = append(found, broken(attestationNamed, "Attestation number %d has an empty Type", i+1))
		}
	}
	return found
}

// checkVerdict checks one of the two facts that Okta reads.
func (p *Posture) checkVerdict(found []Finding, name string, once, value int) []Finding {
	n := 0
	for i := range p.Facts {
		f := &p.Facts[i]
		if f.Name != name {
			continue
		}
		n++
		if f.Value != "true" && f.Value != "false" {
			found = append(found, broken(value, "%s is %q", name, f.Value))
		}
	}
	if n > 1 || n == 0 && once == managedOnce {
		found = append(found, broken(once, "%s is there %d times", name, n))
	}
	return found
}

// repeatedFact returns the first name that stands twice. Comparing all pairs is
// the fastest way for as few facts as a device has; a map takes over where it
// would become slow.
func (p *Posture) repeatedFact() (name string, twice bool) {
	if len(p.Facts) > 32 {
		seen := make(map[string]bool, len(p.Facts))
		for i := range p.Facts {
			if seen[p.Facts[i].Name] {
				return p.Facts[i].Name, true
			}
			seen[p.Facts[i].Name] = true
		}
		return "", false
	}
	for i := range p.Facts {
		for j := range p.Facts[:i] {
			if p.Facts[i].Name == p.Facts[j].Name {
				return p.Facts[i].Name, true
			}
		}
	}
	return "", false
}

// checkCharacters refuses what no writer could put into XML: what a device
// reported of itself ends up here.
func (p *Posture) checkCharacters(found []Finding) []Finding {
	d := &p.Device
	for _, s := range [...]string{d.ID, d.Vendor, d.Model, d.OS, d.OSVersion} {
		if !representable(s) {
			found = append(found, broken(characters, "the Device says %q", s))
		}
	}
	for i := range p.Facts {
		if f := &p.Facts[i]; !representable(f.Name) || !representable(f.Value) {
			found = append(found, broken(characters, "Fact %q is %q", f.Name, f.Value))
		}
	}
	for i := range p.Attestations {
		if a := &p.Attestations[i]; !representable(a.Type) || !representable(a.Value) {
			found = append(found, broken(characters, "Attestation number %d (%q)", i+1, a.Type))
		}
	}
	return found
}

// representable tells whether s is valid UTF-8 of the production Char (XML 1.0
// section 2.2).
func representable(s string) bool {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < 0x20 && c != '\t' && c != '\n' && c != '\r' {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		// Surrogates are not valid UTF-8 in the first place.
		if r == utf8.RuneError && n == 1 || r == 0xFFFE || r == 0xFFFF {
			return false
		}
		i += n
	}
	return true
}

// Representable is s with U+FFFD in place of what XML cannot hold (XML 1.0 section
// 2.2).
func Representable(s string) string {
	if representable(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return utf8.RuneError
		}
		return r
	}, s)
}
