package main

import "fmt"

const (
	acmePath             = "devices.acme"
	acmePerMinuteDefault = 60
)

// ACME is the ACME server, for devices whose hardware vouches for their keys.
type ACME struct {
	// Enabled is whether it is there, at <issuer>/acme/directory. Defaults to
	// false.
	Enabled bool `yaml:"enabled"`

	// PerMinute is how many requests a minute are taken from one address, and how
	// many at once: from 1 to 6000. A certificate takes some twenty. Behind a proxy
	// all devices have one address. Defaults to 60.
	PerMinute int `yaml:"per_minute"`
}

// setDefaults fills in what is not written.
func (a *ACME) setDefaults(written func(path string) bool) {
	if !written(acmePath + ".per_minute") {
		a.PerMinute = acmePerMinuteDefault
	}
}

// validate finds the faults of the values.
func (a *ACME) validate(f *findings) {
	if path := acmePath + ".per_minute"; (a.PerMinute < 1 || a.PerMinute > perMinuteMax) && !f.faulty(path) {
		f.add(path, fmt.Sprintf("%d is out of range", a.PerMinute), "write 1 to 6000, such as 60")
	}
}
