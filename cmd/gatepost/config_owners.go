package main

import (
	"fmt"

	"github.com/alecthomas/kong"

	"gatepost.dev/certs"
	"gatepost.dev/posture"
)

// ownerBinding is the binding that a word means. There were only true and false
// once.
func ownerBinding(word string) posture.OwnerBinding {
	switch word {
	case "", "false":
		return posture.BindOff
	case "true":
		return posture.BindEnforce
	}
	return posture.OwnerBinding(word)
}

// validateShared finds the faults of the list of shared devices.
func (c *Config) validateShared(f *findings) {
	first := map[string]string{}
	for i, id := range c.Devices.Shared {
		path := fmt.Sprintf("devices.shared[%d]", i)
		if f.faulty(path) {
			continue
		}
		if err := certs.ValidDeviceID(id); err != nil {
			f.add(path, err.Error(), "write the ID of a device, as `gatepost device list` shows it")
		}
		if other, again := first[id]; again {
			f.add(path, quote(id)+" is "+other+" already", "delete one of them")
		}
		first[id] = path
	}
}

// sharedDevices are the IDs of the shared devices, as a set.
func (c *Config) sharedDevices() map[string]bool {
	shared := make(map[string]bool, len(c.Devices.Shared))
	for _, id := range c.Devices.Shared {
		shared[id] = true
	}
	return shared
}

// ownerFlag is the flag --bind-owner, which means enforce, or --bind-owner=WORD.
type ownerFlag struct{ binding posture.OwnerBinding }

// IsBool tells that the flag needs no value (kong.BoolMapperValue).
func (ownerFlag) IsBool() bool { return true }

// Decode reads the flag (kong.MapperValue).
func (o *ownerFlag) Decode(ctx *kong.DecodeContext) error {
	word := "true"
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		word = ctx.Scan.Pop().String()
	}
	o.binding = ownerBinding(word)
	switch o.binding {
	case posture.BindOff, posture.BindWarn, posture.BindEnforce:
		if word != "" {
			return nil
		}
	}
	return fmt.Errorf("%s is not off, warn or enforce", quote(word))
}
