package certs

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	privateMode fs.FileMode = 0o600
	publicMode  fs.FileMode = 0o644

	// tempPrefix begins the names of files that are not finished.
	tempPrefix = ".tmp-"
	// maxFile is the most that is read of any file of keys or certificates.
	maxFile = 64 << 10
)

// disk changes files so that a crash leaves the old one or the new one, never
// half of either.
type disk struct {
	// before, if set, is asked before each step; an error stops there and cleans
	// nothing up, as a crash would. Tests set it.
	before func(step string) error
}

func (d disk) at(step string) error {
	if d.before == nil {
		return nil
	}
	return d.before(step)
}

// write puts data at path, in place of what was there.
func (d disk) write(path string, data []byte, mode fs.FileMode) error {
	temp, err := d.prepare(filepath.Dir(path), data, mode)
	if err != nil {
		return err
	}
	return d.commit(temp, path)
}

// prepare writes data durably under a temporary name in dir.
func (d disk) prepare(dir string, data []byte, mode fs.FileMode) (temp string, err error) {
	if err := d.at("prepare"); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, tempPrefix+"*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// commit gives a prepared file its name.
func (d disk) commit(temp, path string) error {
	if err := d.at("rename"); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := d.at("sync"); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func (d disk) remove(path string) error {
	if err := d.at("remove"); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// sweep removes what interrupted writes left in dir: a private key that never
// came into use should not lie about.
func (d disk) sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := d.remove(path); err != nil {
			return err
		}
	}
	return nil
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// readPrivate reads a file that only its owner may read.
func readPrivate(path string) ([]byte, error) {
	data, info, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if m := info.Mode().Perm(); m&0o077 != 0 {
		return nil, fmt.Errorf("%q has mode %04o: others can use it; make it 0600", path, m)
	}
	return data, nil
}

// readFile reads a regular file of a bounded size.
func readFile(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%q is not a regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > maxFile {
		return nil, nil, fmt.Errorf("%q is larger than %d bytes", path, maxFile)
	}
	return data, info, nil
}

const (
	pemKey         = "PRIVATE KEY" // PKCS#8, RFC 7468 section 10
	pemCertificate = "CERTIFICATE" // RFC 7468 section 5
)

// CertificatePEM is the certificate in PEM.
func CertificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: c.Raw})
}

func encodeKey(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}

// decodePEM takes data apart into exactly one block of each type, with nothing
// but white space beside them. pem.Decode alone skips whatever it does not
// understand, a damaged block included.
func decodePEM(data []byte, types ...string) (map[string][]byte, error) {
	blocks := make(map[string][]byte, len(types))
	rest := strings.TrimSpace(string(data))
	for rest != "" {
		if !strings.HasPrefix(rest, "-----BEGIN ") {
			return nil, errors.New("there is text beside the PEM blocks, or a damaged one")
		}
		block, after := pem.Decode([]byte(rest))
		if block == nil {
			return nil, errors.New("a PEM block is damaged")
		}
		// A damaged block before a good one would have been skipped silently.
		if taken := rest[:len(rest)-len(after)]; strings.Count(taken, "-----BEGIN ") != 1 {
			return nil, errors.New("a PEM block is damaged")
		}
		if len(block.Headers) > 0 {
			return nil, fmt.Errorf("PEM block %q has headers; encrypted keys are not supported", block.Type)
		}
		if _, twice := blocks[block.Type]; twice {
			return nil, fmt.Errorf("there are two PEM blocks %q", block.Type)
		}
		blocks[block.Type] = block.Bytes
		rest = strings.TrimSpace(string(after))
	}
	for _, t := range types {
		if blocks[t] == nil {
			return nil, fmt.Errorf("there is no PEM block %q", t)
		}
	}
	if len(blocks) != len(types) {
		return nil, fmt.Errorf("there are %d PEM blocks, not %d", len(blocks), len(types))
	}
	return blocks, nil
}

// parseSigner reads a PKCS#8 key that can sign.
func parseSigner(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", key)
	}
	return s, nil
}

// samePublicKey tells whether the certificate is for this key.
func samePublicKey(c *x509.Certificate, key crypto.Signer) bool {
	pub, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(key.Public())
}
