package agent

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"gatepost.dev/agent/tpmkey"
	"gatepost.dev/agentapi"
)

// TPMChoice is where the agent's key is to be. The empty one is TPMOff.
type TPMChoice string

// The choices. Any other is the path of a TPM, a device or a Unix socket, which
// must have the key.
const (
	TPMOff     TPMChoice = "off"     // in a file
	TPMAuto    TPMChoice = "auto"    // in the system's TPM if that can be used, else in a file
	TPMRequire TPMChoice = "require" // in the system's TPM
)

// TPM is what an agent keeps of where its key is.
type TPM struct {
	Path        string               `json:"path,omitempty"`         // of the TPM; empty: the key is in a file
	NotAttested agentapi.NotAttested `json:"not_attested,omitempty"` // why the server does not take the TPM's word; empty: it does
	Trouble     string               `json:"trouble,omitempty"`      // why the key is in a file although there is a TPM
}

// tpms are the TPMs that the agent uses, each by one at a time.
type tpms struct {
	mu     sync.Mutex
	byPath map[string]*tpmkey.Device
}

func (t *tpms) at(path string) *tpmkey.Device {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.byPath[path]
	if d == nil {
		if t.byPath == nil {
			t.byPath = map[string]*tpmkey.Device{}
		}
		d = &tpmkey.Device{Path: path}
		t.byPath[path] = d
	}
	return d
}

// errServer is why a key of a TPM has no certificate although the TPM did all that
// it should.
type errServer struct{ error }

func (e errServer) Unwrap() error { return e.error }

// firstKey makes the key that the device enrols with.
func (a *Agent) firstKey(ctx context.Context, w *wire, n *Enrollment) (*newKey, error) {
	path := cmp.Or(a.systemTPM, tpmkey.DefaultPath)
	switch n.TPM {
	case TPMOff, "":
		return softwareKey()
	case TPMAuto:
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return softwareKey()
		}
	case TPMRequire:
	default:
		var err error
		if path, err = filepath.Abs(string(n.TPM)); err != nil { // the service runs elsewhere
			return nil, err
		}
	}
	key, err := a.tpmKey(path, func(r *agentapi.AttestRequest) (*agentapi.AttestChallenge, error) {
		r.Token = n.Token
		return challengeOf(ctx, w, agentapi.AttestPath, r)
	})
	if err == nil || n.TPM != TPMAuto || errors.As(err, new(errServer)) {
		return key, err
	}
	a.Log.LogAttrs(ctx, slog.LevelWarn, "the TPM cannot be used, so the key is kept in a file", slog.String("error", err.Error()))
	why := err.Error()
	if key, err = softwareKey(); err != nil {
		return nil, err
	}
	key.noTPM = why
	return key, nil
}

// nextKey makes the key of the next certificate, where the current one is. A TPM
// that fails is a failure: were the key made in a file then, whoever can disturb
// the TPM would get a key that can be copied.
func (a *Agent) nextKey(ctx context.Context, w *wire) (*newKey, error) {
	path, err := a.keyPlace()
	if err != nil {
		return nil, err
	}
	if path == "" {
		return softwareKey()
	}
	return a.tpmKey(path, func(r *agentapi.AttestRequest) (*agentapi.AttestChallenge, error) {
		return challengeOf(ctx, w, agentapi.RenewAttestPath, r)
	})
}

// challengeOf asks the server for a challenge; nil: it wants none of this TPM, or
// knows nothing of TPMs.
func challengeOf(ctx context.Context, w *wire, path string, r *agentapi.AttestRequest) (*agentapi.AttestChallenge, error) {
	c := new(agentapi.AttestChallenge)
	err := w.post(ctx, path, r, c)
	if no, ok := errors.AsType[*refused](err); ok && (no.Code == agentapi.CodeAttestation || no.Status == http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, errServer{err}
	}
	return c, nil
}

// tpmKey makes a key in the TPM, and has it vouch for the key to the server. The
// error is errServer where it is not the TPM's fault.
func (a *Agent) tpmKey(path string, challenge func(*agentapi.AttestRequest) (*agentapi.AttestChallenge, error)) (*newKey, error) {
	d := a.tpms.at(path)
	object, err := d.CreateKey()
	if err != nil {
		return nil, err
	}
	signer, err := d.Signer(object)
	if err != nil {
		return nil, err
	}
	key := &newKey{signer: signer, object: &tpmObject{Path: path, Object: *object}}
	ek, err := d.Endorsement()
	if err != nil {
		return nil, err
	}
	ak, err := d.CreateAttestationKey()
	if err != nil {
		return nil, err
	}
	c, err := challenge(&agentapi.AttestRequest{EKCertificate: ek.Certificate, EK: ek.Public, AK: ak.Public})
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		key.refused = true
		return requestFor(key)
	}
	secret, err := d.Activate(ek, ak, c.Credential, c.Encrypted)
	if err != nil {
		return nil, err
	}
	e := &agentapi.TPMEvidence{State: c.State, Secret: secret, Public: object.Public}
	if e.Info, e.Signature, err = d.Certify(ak, object, agentapi.TPMNonce(c.State, secret)); err != nil {
		return nil, err
	}
	key.evidence = e
	return requestFor(key)
}
