package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"gatepost.dev/agentapi"
)

// State is what an agent keeps beside its key.
type State struct {
	Server    string         `json:"server"`
	Roots     string         `json:"roots,omitempty"` // PEM; empty: the system's
	DeviceURL string         `json:"device_url"`
	DeviceID  string         `json:"device"`
	Enrolled  agentapi.State `json:"enrolled"` // what the server said then

	Sequence uint64        `json:"sequence"`           // of the last report that was stored
	Previous string        `json:"previous,omitempty"` // its hash; empty: not known
	Every    time.Duration `json:"every"`              // between two reports
	RenewAt  time.Time     `json:"renew_at"`

	Loopback *agentapi.Loopback `json:"loopback,omitempty"` // nil: the server has no challenges

	TPM TPM `json:"tpm,omitzero"`

	ReportedAt time.Time `json:"reported_at,omitzero"` // when the server last stored a report
	Trouble    string    `json:"trouble,omitempty"`    // why the last attempt failed; empty: it did not

	Browsers       Browsers `json:"browsers,omitzero"`
	BrowserTrouble string   `json:"browser_trouble,omitempty"` // why the browsers lack the certificate; empty: they have it
	// BrowserRenewAt is when the browsers' own certificate is renewed, which they
	// have if the agent's key is in a TPM; zero: there is none.
	BrowserRenewAt time.Time `json:"browser_renew_at,omitzero"`
}

// Browsers says whose browsers get the device's certificate.
type Browsers struct {
	None bool   `json:"none,omitempty"`
	Home string `json:"home,omitempty"` // those of the user whose home this is; empty: those of all users that the agent can reach
}

// Files of an agent.
const (
	stateFile      = "agent.json"
	credentialFile = "device.pem"  // key, certificate and authority: one file, so that they always go together
	browserFile    = "browser.pem" // the same of the browsers, if they have a key of their own
	sendingFile    = "sending.json"
	queueDir       = "queue"
	lockFile       = "lock"
)

// lockPatience is how long a command waits for another process of this agent.
const lockPatience = time.Minute

// lock keeps other processes of this agent out.
func (a *Agent) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	l := flock.New(filepath.Join(a.Dir, lockFile), flock.SetPermissions(0o600))
	if ok, err := l.TryLockContext(ctx, 100*time.Millisecond); err != nil || !ok {
		return nil, fmt.Errorf("another process of this agent has %s: %w", a.Dir, err)
	}
	return func() { _ = l.Unlock() }, nil
}

func (a *Agent) readState() (s State, err error) {
	data, err := os.ReadFile(filepath.Join(a.Dir, stateFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, ErrNotEnrolled
	case errors.Is(err, fs.ErrPermission):
		return s, fmt.Errorf("%s is for its owner only: run this as the user that enrolled the device", a.Dir)
	case err != nil:
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("%s is damaged: %w; enrol the device anew", filepath.Join(a.Dir, stateFile), err)
	}
	return s, nil
}

func (a *Agent) writeState(s State) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return a.write(stateFile, append(data, '\n'))
}

// write puts a file in its place whole, for its owner only, durably.
func (a *Agent) write(name string, data []byte) (err error) {
	path := filepath.Join(a.Dir, name)
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes what was renamed in the folder durable, where folders can be
// synced.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync() // Windows cannot
	return nil
}

// Forget deletes the agent's key and all that it keeps.
func (a *Agent) Forget(ctx context.Context) error {
	unlock, err := a.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	var faults []error
	// The key first, and only what is ours: the folder may be anybody's.
	for _, name := range []string{credentialFile, browserFile, sendingFile, queueDir, stateFile, lockFile} {
		faults = append(faults, os.RemoveAll(filepath.Join(a.Dir, name)))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if err := os.Remove(a.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder holds what is not the agent's: %w", err)
	}
	return nil
}
