package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"gatepost.dev/admin"
	"gatepost.dev/idp/oidc"
	"gatepost.dev/internal/web"
)

const (
	minSecret     = 32   // bytes; HS256 wants a key of 256 bits (RFC 7518 section 3.2)
	maxSecretFile = 4096 // bytes
)

// secretFileError says what is wrong with a file of client secrets. It never
// quotes what the file holds.
type secretFileError struct{ path, problem, instead string }

func (e *secretFileError) Error() string { return quote(e.path) + " " + e.problem + "; " + e.instead }

// readSecrets reads the secrets of a client from a file that only its owner may
// read: the secret, and behind it, while it is being changed, the former one.
func readSecrets(path string) ([]string, error) {
	data, err := readSecretFile(path)
	if err != nil {
		return nil, err
	}
	secrets, problem, instead := parseSecrets(data)
	if problem != "" {
		return nil, &secretFileError{path, problem, instead}
	}
	return secrets, nil
}

// readSecretFile reads up to one byte more than maxSecretFile of a file that only
// its owner may read.
func readSecretFile(path string) ([]byte, error) {
	// Opening a pipe might not end.
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		if err != nil {
			return nil, err
		}
		return nil, &secretFileError{path, "is no file", "write the path of the file itself"}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if bad := secretFileAccess(path, info); bad != nil {
		return nil, bad
	}
	return io.ReadAll(io.LimitReader(file, maxSecretFile+1))
}

// makeSecretFile writes a new secret to a file that is not there yet, and gives
// it. A file that is there stays as it is; nor is anything made without a path.
func makeSecretFile(path string) (secret string, err error) {
	if path == "" {
		return "", nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		_, err := readSecrets(path)
		return "", err
	}
	if err != nil {
		return "", err
	}
	secret = oidc.NewSecret()
	_, err = file.WriteString(secret + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return secret, nil
}

// parseSecrets gives the one or two secrets of a file, or what is wrong with
// it.
func parseSecrets(data []byte) (secrets []string, problem, instead string) {
	secrets = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	switch {
	case len(data) > maxSecretFile:
		return nil, fmt.Sprintf("is larger than %d bytes", maxSecretFile), "see that it is the right file"
	case len(secrets) > 2:
		return nil, "holds more than two lines of a secret", "write the secret, and below it, during a rotation, the former one"
	}
	instead = "write 32 or more printable ASCII characters without a space, such as `openssl rand -hex 32` gives"
	for i, secret := range secrets {
		switch {
		case secret == "":
			return nil, fmt.Sprintf("has an empty line %d", i+1), instead
		case !clientSecretForm(secret):
			return nil, fmt.Sprintf("has a space or another character that does not print on line %d", i+1), instead
		case len(secret) < minSecret:
			return nil, fmt.Sprintf("has fewer than %d characters on line %d", minSecret, i+1), instead
		}
	}
	if len(secrets) == 2 && secrets[0] == secrets[1] {
		return nil, "holds the same secret twice", "delete one of its lines"
	}
	return secrets, "", ""
}

// clientSecretForm is RFC 6749 appendix A.2 without the space, which nobody sees
// at the end of a line.
func clientSecretForm(secret string) bool {
	return !strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' })
}

// secretFileAccess finds who else than we could read or change an open file.
func secretFileAccess(path string, info fs.FileInfo) *secretFileError {
	if !info.Mode().IsRegular() {
		return &secretFileError{path, "is no file", "write the path of the file itself"}
	}
	owner, ours, ok := fileOwner(info)
	switch mode := info.Mode().Perm(); {
	case !ok: // a system without such owners and modes
	case !ours:
		return &secretFileError{path, fmt.Sprintf("belongs to the user %d, not to the one that runs this", owner),
			"give it to the user that gatepost runs as"}
	case mode&0o177 != 0:
		return &secretFileError{path, fmt.Sprintf("has mode %04o", mode), "make it 0600, or 0400"}
	}
	return nil
}

// readableClients adds no client whose file of secrets this process cannot use:
// the command that asks may run as another user.
type readableClients struct{ clientRecords }

func (c readableClients) AddClient(ctx context.Context, client admin.OIDCClient) error {
	if client.Secret == admin.SecretInFile {
		if _, err := readSecrets(client.SecretFile); err != nil {
			return &web.Error{Status: http.StatusUnprocessableEntity, Reason: "secret_file", Public: "secret_file: " + err.Error(), Err: err}
		}
	}
	return c.clientRecords.AddClient(ctx, client)
}
