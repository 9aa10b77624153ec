package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

// oidcParty registers a client and gives it a browser on the device mac-1.
func (in *installation) oidcParty(t *testing.T, name string, flags ...string) *oidcParty {
	t.Helper()
	added := in.gatepost(t, append([]string{"client", "add", name, "--json", "--redirect-uri", testRedirectURI}, flags...)...)
	client, err := deviceClient(filepath.Join(in.dir, "mac-1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return newOIDCParty(t, []byte(added), in.issuer, strings.Replace(in.issuer, "localhost", "127.0.0.1", 1), client)
}

// TestCodesOutliveTheServer kills a server between authorize and token: each code
// that was handed out is good at the next one, once.
func TestCodesOutliveTheServer(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	server := in.serve(t)
	rp := in.oidcParty(t, "acme-oidc")
	codes := make([]string, 20)
	var group sync.WaitGroup
	for i := range codes {
		group.Go(func() {
			var err error
			if codes[i], err = rp.authorize(i); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	used, _, err := rp.redeem(codes[0], http.StatusOK)
	if err != nil {
		t.Fatal(err)
	}
	server.kill()

	server = in.serve(t)
	if err := rp.userInfo(used, http.StatusOK); err != nil {
		t.Errorf("an access token of the server before: %v", err)
	}
	for i, code := range codes[1:] {
		accessToken, _, err := rp.redeem(code, http.StatusOK)
		if err == nil {
			err = rp.userInfo(accessToken, http.StatusOK)
		}
		if err != nil {
			t.Errorf("code %d: %v", i, err)
		}
	}
	for i, code := range codes {
		if _, _, err := rp.redeem(code, http.StatusBadRequest); err != nil {
			t.Errorf("code %d again: %v", i, err)
		}
	}
	if err := rp.userInfo(used, http.StatusUnauthorized); err != nil {
		t.Errorf("an access token whose code was used again: %v", err)
	}
	if err := server.stop(syscall.SIGTERM, exitOK); err != nil {
		t.Error(err)
	}
}

// TestOIDCSignsInThroughReloads reloads a busy server again and again, and rotates
// its keys: no sign-in fails, and go-oidc, which asks for the keys anew when it
// does not know one, verifies every token.
func TestOIDCSignsInThroughReloads(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	server := in.serve(t)
	var group sync.WaitGroup
	stop := make(chan struct{})
	done := make([]int, 4)
	for i := range done {
		alg := []string{oidc.RS256, oidc.ES256}[i%2]
		rp := in.oidcParty(t, "client-"+string(rune('a'+i)), "--id-token-alg", alg)
		ctx := oidc.ClientContext(t.Context(), rp.http)
		provider, err := oidc.NewProvider(ctx, in.issuer)
		if err != nil {
			t.Fatal(err)
		}
		verifier := provider.Verifier(&oidc.Config{ClientID: rp.id, SupportedSigningAlgs: []string{alg}})
		group.Go(func() {
			for ; ; done[i]++ {
				select {
				case <-stop:
					return
				default:
				}
				token, err := rp.signIn(done[i])
				if err == nil {
					_, err = verifier.Verify(ctx, token)
				}
				if err != nil {
					t.Errorf("%s: %v", alg, err)
					return
				}
			}
		})
	}
	for i := range 10 {
		if err := server.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if err := server.says(server.stderr, `"msg":"configuration reloaded"`, i+1); err != nil {
			t.Fatal(err)
		}
	}
	for _, alg := range []string{oidc.RS256, oidc.ES256} {
		published := regexp.MustCompile(`Key (\S+) is published`).FindStringSubmatch(in.gatepost(t, "key", "rotate", "--alg", alg))
		in.gatepost(t, "key", "rotate", "--force", "--activate", published[1])
	}
	close(stop)
	group.Wait()
	for i, n := range done {
		if n == 0 {
			t.Errorf("client %d did not sign in once", i)
		}
	}
	if err := server.stop(syscall.SIGTERM, exitOK); err != nil {
		t.Error(err)
	}
	log, err := os.ReadFile(server.stderr)
	if err != nil {
		t.Fatal(err)
	}
	if bad := regexp.MustCompile(`.*("status":[45]|"level":"(WARN|ERROR)").*`).Find(log); bad != nil {
		t.Errorf("the log has %s", bad)
	}
}
