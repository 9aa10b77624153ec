// Package swtpmtest runs swtpm, a TPM 2.0 in software, for the tests of what
// talks to one or judges what one says.
package swtpmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Vendor is who made the TPM, as its endorsement key's certificate says.
const Vendor = "id:00001014"

// TPM is one that runs.
type TPM struct {
	Path string // its Unix socket
	dir  string // of the sockets, whose paths must be short
	cmd  *exec.Cmd
	out  bytes.Buffer
}

// RootFile is the certificate, in PEM, of the authority that certifies the
// endorsement keys of TPMs that are started with its folder; IssuerFile is the
// one between.
func RootFile(ca string) string   { return filepath.Join(ca, "swtpm-localca-rootca-cert.pem") }
func IssuerFile(ca string) string { return filepath.Join(ca, "issuercert.pem") }

// Start makes a new TPM in the folder dir, which it creates, and runs it. The
// authority in the folder ca, which it makes when there is none, certifies the
// endorsement key; with none ("") the TPM has no certificate.
func Start(dir, ca string) (*TPM, error) {
	if err := setup(dir, ca); err != nil {
		return nil, fmt.Errorf("make TPM: %w", err)
	}
	return Resume(dir)
}

// setup makes the TPM's state.
func setup(dir, ca string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	args := []string{"--tpm2", "--tpmstate", dir, "--createek", "--logfile", filepath.Join(dir, "setup.log"), "--overwrite"}
	conf := filepath.Join(dir, "setup.conf")
	if ca != "" {
		if err := os.MkdirAll(ca, 0o700); err != nil {
			return err
		}
		args = append(args, "--create-ek-cert")
	}
	tool, err := exec.LookPath("swtpm_localca")
	if err != nil {
		return err
	}
	localca, options := filepath.Join(dir, "localca.conf"), filepath.Join(dir, "options")
	for name, text := range map[string]string{
		conf: fmt.Sprintf("create_certs_tool = %s\ncreate_certs_tool_config = %s\ncreate_certs_tool_options = %s\n", tool, localca, options),
		localca: fmt.Sprintf("statedir = %s\nsigningkey = %s\nissuercert = %s\ncertserial = %s\n",
			ca, filepath.Join(ca, "signkey.pem"), IssuerFile(ca), filepath.Join(ca, "certserial")),
		options: "--platform-manufacturer Gatepost\n--platform-version 2.1\n--platform-model Test\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	if out, err := exec.Command("swtpm_setup", append(args, "--config", conf)...).CombinedOutput(); err != nil {
		return fmt.Errorf("swtpm_setup: %w: %s", err, out)
	}
	return nil
}

// Resume runs the TPM that is in the folder.
func Resume(dir string) (*TPM, error) {
	sockets, err := os.MkdirTemp("", "tpm")
	if err != nil {
		return nil, err
	}
	t := &TPM{dir: sockets, Path: filepath.Join(sockets, "tpm")}
	t.cmd = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+t.Path, "--ctrl", "type=unixio,path="+t.control(), "--flags", "not-need-init,startup-clear")
	t.cmd.Stdout, t.cmd.Stderr = &t.out, &t.out
	if err := t.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(sockets))
	}
	for range 500 { // the socket is there before swtpm listens on it
		var conn net.Conn
		if conn, err = net.Dial("unix", t.Path); err == nil {
			return t, conn.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("run swtpm: %w", err), t.Stop())
}

func (t *TPM) control() string { return filepath.Join(t.dir, "control") }

// Stop ends the TPM in order: killed a few times, it would lock itself up.
func (t *TPM) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, stop := exec.CommandContext(ctx, "swtpm_ioctl", "--unix", t.control(), "-s").CombinedOutput()
	if stop != nil {
		stop = errors.Join(stop, t.cmd.Process.Kill())
	}
	err := t.cmd.Wait()
	if stop != nil {
		err = fmt.Errorf("stop swtpm: %w: %s", errors.Join(stop, err), &t.out)
	}
	return errors.Join(err, os.RemoveAll(t.dir))
}
