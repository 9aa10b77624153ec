package main

import "time"

// Log is the hash-chained log (`gatepost log`).
type Log struct {
	// Keep is how long decisions, changes and events are kept: days, such as 90d,
	// from 1d to 3660d. What is older is deleted, and the rest stays provable.
	// Defaults to keeping everything.
	Keep Days `yaml:"keep"`
}

// Days is a number of days, written as 90d; 0: not written.
type Days int

// Duration is so many times 24 hours.
func (d Days) Duration() time.Duration { return time.Duration(d) * 24 * time.Hour }

// maxDays is ten years.
const maxDays = 3660
