package main

import (
	"os"
	"strings"
	"testing"
)

func TestCheckSCEP(t *testing.T) {
	t.Parallel()
	const file = `9: devices.scep.static_challenge_file: "DIR/scep.challenge" `
	challenge := func(text string, mode os.FileMode) func(*site) {
		return func(s *site) {
			s.write("gatepost.yaml", strings.Replace(checkedConfig, "devices:\n", "devices:\n  scep:\n    static_challenge_file: scep.challenge\n    enabled: true\n", 1))
			s.write("scep.challenge", text)
			s.try(os.Chmod(s.path("scep.challenge"), mode))
		}
	}
	runChecks(t, map[string]checkCase{
		"good":          {challenge(goodSecret+"\n", 0o600), ""},
		"being changed": {challenge(goodSecret+"\n"+formerSecret+"\n", 0o400), ""},
		"for the group": {challenge(goodSecret, 0o640), file + "has mode 0640; make it 0600, or 0400"},
		"short": {challenge("hunter2\n", 0o600), file + "has fewer than 32 characters on line 1; " +
			"write 32 or more printable ASCII characters without a space, such as `openssl rand -hex 32` gives"},
		// It may be the challenge itself.
		"not there": {func(s *site) { challenge(goodSecret, 0o600)(s); s.remove("scep.challenge") },
			"9: devices.scep.static_challenge_file: names a file that does not exist; write the path of the file with the challenge, relative to FILE"},
	})
}
