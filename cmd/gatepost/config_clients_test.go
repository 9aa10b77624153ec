package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	goodSecret   = "V0mZ8f3qk1b7n5x2Jt9cR4hLs6WyQeDa"
	formerSecret = "aDeQyW6sLh4Rc9tJ2x5n7b1kq3f8Zm0V"
	goodKeys     = `{"keys":[{"kty":"EC","crv":"P-256","kid":"a",` +
		`"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}` // of RFC 7517 appendix A.1
)

// addClient appends an OpenID Connect client to a site: its secret file is on
// line 19, its keys on line 20.
func addClient(s *site) {
	s.t.Helper()
	s.write("gatepost.yaml", checkedConfig+`  - name: okta
    oidc:
      client_id: okta
      client_secret_file: okta.secret
      jwks_file: okta.jwks.json
      redirect_uris: [https://acme.okta.com/oauth2/v1/authorize/callback]
`)
	s.secret(goodSecret+"\n", 0o600)
	s.write("okta.jwks.json", goodKeys)
}

func (s *site) secret(text string, mode os.FileMode) {
	s.t.Helper()
	s.remove("okta.secret")
	s.write("okta.secret", text)
	s.try(os.Chmod(s.path("okta.secret"), mode))
}

func TestCheckClients(t *testing.T) {
	t.Parallel()
	const (
		file = `19: relying_parties[2].oidc.client_secret_file: "DIR/okta.secret" `
		form = "; write 32 or more printable ASCII characters without a space, such as `openssl rand -hex 32` gives"
	)
	secret := func(text string, mode os.FileMode) func(*site) {
		return func(s *site) { addClient(s); s.secret(text, mode) }
	}
	keys := func(text string) func(*site) {
		return func(s *site) { addClient(s); s.write("okta.jwks.json", text) }
	}
	runChecks(t, map[string]checkCase{
		"good":                      {addClient, ""},
		"a secret nobody may write": {secret(goodSecret, 0o400), ""},
		"two secrets":               {secret(goodSecret+"\n"+formerSecret+"\n", 0o600), ""},
		"the shortest":              {secret(strings.Repeat("x", 32), 0o600), ""},
		"for the group":             {secret(goodSecret, 0o640), file + "has mode 0640; make it 0600, or 0400"},
		"for everyone":              {secret(goodSecret, 0o604), file + "has mode 0604; make it 0600, or 0400"},
		"a program":                 {secret(goodSecret, 0o700), file + "has mode 0700; make it 0600, or 0400"},
		"too short":                 {secret(strings.Repeat("x", 31)+"\n", 0o600), file + "has fewer than 32 characters on line 1" + form},
		"the former one too short":  {secret(goodSecret+"\nx\n", 0o600), file + "has fewer than 32 characters on line 2" + form},
		"nothing in it":             {secret("", 0o600), file + "has an empty line 1" + form},
		"an empty line":             {secret(goodSecret+"\n\n", 0o600), file + "has an empty line 2" + form},
		"an empty line before":      {secret("\n"+goodSecret+"\n", 0o600), file + "has an empty line 1" + form},
		"a space behind it":         {secret(goodSecret+" \n", 0o600), file + "has a space or another character that does not print on line 1" + form},
		"line ends of Windows":      {secret(goodSecret+"\r\n", 0o600), file + "has a space or another character that does not print on line 1" + form},
		"letters beyond ASCII":      {secret(goodSecret+"é", 0o600), file + "has a space or another character that does not print on line 1" + form},
		"three secrets": {secret(goodSecret+"\n"+formerSecret+"\n"+strings.Repeat("x", 32), 0o600),
			file + "holds more than two lines of a secret; write the secret, and below it, during a rotation, the former one"},
		"a long file":    {secret(strings.Repeat("x", maxSecretFile+1), 0o600), file + "is larger than 4096 bytes; see that it is the right file"},
		"the same twice": {secret(goodSecret+"\n"+goodSecret, 0o600), file + "holds the same secret twice; delete one of its lines"},
		"a folder": {func(s *site) { addClient(s); s.remove("okta.secret"); s.try(os.Mkdir(s.path("okta.secret"), 0o700)) },
			file + "is no file; write the path of the file itself"},
		"a pipe": {func(s *site) {
			addClient(s)
			s.remove("okta.secret")
			s.try(syscall.Mkfifo(s.path("okta.secret"), 0o600))
		},
			file + "is no file; write the path of the file itself"},
		// It may be the secret itself.
		"not there": {func(s *site) { addClient(s); s.remove("okta.secret") },
			"19: relying_parties[2].oidc.client_secret_file: names a file that does not exist; write the path of the file with the secret, relative to FILE"},
		"no keys": {keys("{}"), `20: relying_parties[2].oidc.jwks_file: "DIR/okta.jwks.json": *; write the path of a JWK Set with the client's public keys`},
		"a private key": {keys(strings.Replace(goodKeys, `"kid"`, `"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","kid"`, 1)),
			`20: relying_parties[2].oidc.jwks_file: "DIR/okta.jwks.json": *; write the path of a JWK Set with the client's public keys`},
		"keys that are not there": {func(s *site) { addClient(s); s.remove("okta.jwks.json") },
			`20: relying_parties[2].oidc.jwks_file: "DIR/okta.jwks.json" does not exist; write the path of the file, relative to FILE`},
	})
}

// A secret of somebody else is that somebody's, whatever the mode says.
func TestSecretOfAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "okta.secret")
	write(t, path, goodSecret)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := readSecrets(path); err != nil || len(got) != 1 || got[0] != goodSecret {
		t.Fatalf("ours: %d secrets, %v", len(got), err)
	}
	if os.Geteuid() != 0 { // only root can give a file away
		path = "/etc/passwd"
	} else if err := os.Chown(path, 1, -1); err != nil {
		t.Fatal(err)
	}
	_, err := readSecrets(path)
	if err == nil || !strings.Contains(err.Error(), "; give it to the user that gatepost runs as") {
		t.Errorf("another's: %v", err)
	}
}

// FuzzSecrets: whatever the file holds, an error never tells it, and what is
// accepted can be a key.
func FuzzSecrets(f *testing.F) {
	for _, seed := range []string{goodSecret, goodSecret + "\n" + formerSecret + "\n", "", "\n\n", goodSecret + "\r\n", goodSecret[:31]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secrets, problem, _ := parseSecrets([]byte(text))
		if (problem == "") != (len(secrets) > 0) {
			t.Fatalf("%d secrets, problem %q", len(secrets), problem)
		}
		if len(text) >= minSecret/2 && strings.Contains(problem, text) {
			t.Errorf("the problem quotes %q: %q", text, problem)
		}
		for _, s := range secrets {
			if len(s) < minSecret || strings.ContainsAny(s, " \t\r\n\x00") || !strings.Contains(text, s) {
				t.Errorf("accepted %q", s)
			}
		}
	})
}
