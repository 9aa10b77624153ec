package agent

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"gatepost.dev/agent/tpmkey"
	"gatepost.dev/agent/tpmkey/swtpmtest"
	"gatepost.dev/agentapi"
)

// challenger is a server that refuses every challenge.
func challenger(t *testing.T, status int, code agentapi.Code) *wire {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(agentapi.Problem{Status: status, Code: code})
	}))
	t.Cleanup(s.Close)
	w, err := newWire(s.URL, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

func TestWithoutTPM(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := challenger(t, http.StatusUnprocessableEntity, agentapi.CodeAttestation)
	r.systemTPM = filepath.Join(t.TempDir(), "tpm")
	for _, choice := range []TPMChoice{TPMAuto, TPMOff, ""} {
		if k, err := r.firstKey(t.Context(), w, &Enrollment{TPM: choice}); err != nil || k.object != nil || k.noTPM != "" {
			t.Errorf("%q without a TPM: %+v, %v", choice, k, err)
		}
	}
	if err := os.WriteFile(r.systemTPM, nil, 0o600); err != nil { // a TPM that says nothing
		t.Fatal(err)
	}
	k, err := r.firstKey(t.Context(), w, &Enrollment{TPM: TPMAuto})
	if err != nil || k.object != nil || k.state("").Trouble == "" {
		t.Errorf("with a TPM that fails: %+v, %v", k, err)
	}
	for _, choice := range []TPMChoice{TPMRequire, TPMChoice(r.systemTPM)} {
		if k, err := r.firstKey(t.Context(), w, &Enrollment{TPM: choice}); !errors.Is(err, tpmkey.ErrNoTPM) {
			t.Errorf("%q with a TPM that fails: %+v, %v", choice, k, err)
		}
	}
}

func TestTPMKeyStaysThere(t *testing.T) {
	t.Parallel()
	tpm, err := swtpmtest.Start(filepath.Join(t.TempDir(), "tpm"), "")
	if err != nil {
		t.Fatal(err)
	}
	running := true
	t.Cleanup(func() {
		if running {
			tpm.Stop()
		}
	})
	r := newRig(t)
	r.systemTPM = tpm.Path

	// That the server refuses the token is no reason to do without the TPM.
	if k, err := r.firstKey(t.Context(), challenger(t, http.StatusUnauthorized, agentapi.CodeToken), &Enrollment{TPM: TPMAuto}); err == nil {
		t.Errorf("with a token that is refused: %+v", k)
	}
	w := challenger(t, http.StatusUnprocessableEntity, agentapi.CodeAttestation)
	k, err := r.firstKey(t.Context(), w, &Enrollment{TPM: TPMAuto})
	if err != nil {
		t.Fatal(err)
	}
	if got := k.state(""); got != (TPM{Path: tpm.Path, NotAttested: agentapi.BadEvidence}) || k.evidence != nil {
		t.Errorf("with a TPM that is not challenged: %+v", got)
	}
	certificate := selfSigned(t, k.signer)
	if err := r.writeCredential(credentialFile, k, certificate, certificate); err != nil {
		t.Fatal(err)
	}
	if c, err := r.Credential(); err != nil || c.Leaf == nil {
		t.Errorf("%v, %v", c, err)
	} else if _, is := c.PrivateKey.(*tpmkey.Signer); !is {
		t.Errorf("the key is a %T", c.PrivateKey)
	}
	other, err := softwareKey()
	if err != nil {
		t.Fatal(err)
	}
	if foreign := selfSigned(t, other.signer); r.writeCredential(credentialFile, k, foreign, foreign) == nil {
		t.Error("the certificate of another key was kept")
	}
	if next, err := r.nextKey(t.Context(), w); err != nil || next.object == nil {
		t.Errorf("%+v, %v", next, err)
	}
	running = false
	if err := tpm.Stop(); err != nil {
		t.Fatal(err)
	}
	if next, err := r.nextKey(t.Context(), w); !errors.Is(err, tpmkey.ErrNoTPM) {
		t.Errorf("without the TPM: %+v, %v", next, err)
	}
}
