package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	keySuffix = ".pem"
	rolesFile = "signing"
)

// readRing reads the directory, with every fault in the error.
func readRing(dir, algorithm string, s slots) (*ring, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var faults []error
	var keys []*SigningKey
	var named *roles
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), tempPrefix):
			// An interrupted write; the next change removes it.
		case !e.Type().IsRegular():
			faults = append(faults, fmt.Errorf("%q is not a regular file: only keys belong here", path))
		case e.Name() == rolesFile:
			named, err = readRoles(path)
			faults = append(faults, err)
		case filepath.Ext(e.Name()) == keySuffix:
			key, err := readKey(path, algorithm)
			faults = append(faults, err)
			if err == nil {
				key.slots = s
				keys = append(keys, key)
			}
		default:
			faults = append(faults, fmt.Errorf("%q is a stray file: only keys belong here", path))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return arrange(keys, named)
}

func readKey(path, algorithm string) (*SigningKey, error) {
	data, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	key, err := parseKeyFile(data, algorithm)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	if want := key.ID + keySuffix; filepath.Base(path) != want {
		return nil, fmt.Errorf("%q: the key in it belongs into %q", path, want)
	}
	return key, nil
}

func readRoles(path string) (*roles, error) {
	data, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := parseRoles(data)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return &r, nil
}
