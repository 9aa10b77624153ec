package main

import "path/filepath"

// SCEP is how management systems enrol devices by that protocol.
type SCEP struct {
	// Enabled is whether /scep on the issuer's host answers. Its RSA key is made
	// when it first does, as scep-ra.pem in the folder of the storage. Defaults to
	// false.
	Enabled bool `yaml:"enabled"`

	// StaticChallengeFile is the path of a file, readable by its owner only, with
	// the challenge that all devices of a management system share: 32 or more
	// printable characters without a space, and below it, while it is being
	// changed, the former one. Whoever has it enrols as a device of the inventory
	// by its serial number, which is never a reason to count as managed, and takes
	// no other key's place. Without it every challenge is a token.
	StaticChallengeFile string `yaml:"static_challenge_file"`

	// AllowDESAndSHA1 also takes messages that are encrypted with DES or triple DES
	// or signed over SHA-1, for clients that know nothing else; TLS then is all that
	// keeps a challenge secret. Defaults to false.
	AllowDESAndSHA1 bool `yaml:"allow_des_and_sha1"`
}

// RAPath is the file of the key pair that SCEP encrypts to.
func (c *Config) RAPath() string { return filepath.Join(c.DataDir(), "scep-ra.pem") }

// validate finds the faults of the values.
func (s *SCEP) validate(f *findings) {
	if s.AllowDESAndSHA1 {
		f.warn("devices.scep.allow_des_and_sha1", "takes messages with algorithms that are broken", "delete it once all clients use AES and SHA-256")
	}
	if path := "devices.scep.static_challenge_file"; s.StaticChallengeFile != "" && !s.Enabled && !f.faulty("devices.scep.enabled") {
		f.warn(path, "is of no use while devices.scep.enabled is not true", "write enabled: true, or delete it")
	}
}

// checkSCEP reads the challenge.
func (k *checker) checkSCEP(c *Config) {
	const path = "devices.scep.static_challenge_file"
	if k.ctx.Err() != nil || c.Devices.SCEP.StaticChallengeFile == "" || k.faulty(path) {
		return
	}
	_, err := readSecrets(c.Devices.SCEP.StaticChallengeFile)
	k.secretFault(path, c.Devices.SCEP.StaticChallengeFile, "the challenge", err)
}
