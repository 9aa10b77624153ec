package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"gatepost.dev/certs"
)

// maxNamed is the largest file that is read, in bytes. (Metadata may be that
// large; certificates and keys are smaller by far.)
const maxNamed = 1 << 20

// Parsers read what the configuration names, as the server will read it. They
// change nothing, and all of them are needed.
type Parsers struct {
	// Metadata reads a service provider's SAML metadata.
	Metadata func(data []byte, now time.Time) (MetadataFacts, error)

	// Keyring opens a folder of keys that sign by the algorithm.
	Keyring func(dir, algorithm string) error

	// Authority opens the device authority's certificate and key.
	Authority func(certificate, key string) error
}

// MetadataFacts is what matters here of a service provider's metadata.
type MetadataFacts struct {
	EntityID    string
	Encryptable bool  // there is a key to encrypt assertions to
	Expired     error // why they are out of date, or nil
}

// CheckConfig is LoadConfig followed by Check, which looks at what can be
// understood in spite of the faults of the text. The Config is nil if a fault is
// more than a warning.
func CheckConfig(ctx context.Context, path string, getenv func(string) (string, bool), p Parsers, now time.Time) (*Config, []Fault) {
	c, f := readConfig(path, getenv)
	if c != nil {
		c.check(ctx, f, p, now)
	}
	if Refused(f.faults) {
		c = nil
	}
	return c, f.sorted()
}

// Check opens what the configuration names, without changing anything, and finds
// every fault there, with the line of the key that names it.
func (c *Config) Check(ctx context.Context, p Parsers, now time.Time) []Fault {
	f := newFindings(c.file)
	f.lines = c.lines
	c.check(ctx, f, p, now)
	return f.sorted()
}

func (c *Config) check(ctx context.Context, f *findings, p Parsers, now time.Time) {
	k := &checker{findings: f, ctx: ctx, parsers: p, now: now}
	k.checkTLS(c)
	k.checkStorage(c)
	k.checkKeyring("signing.keys", c.Signing.Keys, certs.RS256, "gatepost init")
	k.checkKeyring("signing.es256_keys", c.Signing.ES256Keys, certs.ES256, "gatepost key create --alg ES256")
	k.checkAuthorities(c)
	k.checkAttestation(c)
	k.checkMetadata(c)
	k.checkClients(c)
	k.checkTracing(c)
	k.checkSCEP(c)
	if err := ctx.Err(); err != nil {
		f.addAt(0, "", "was not checked to the end: "+err.Error(), "")
	}
}

// checker is one run of Check.
type checker struct {
	*findings
	ctx     context.Context // ends the run between two files
	parsers Parsers
	now     time.Time
}

// stat looks at what the key at path names. A value that is missing or has a
// fault already is passed over.
func (k *checker) stat(path, name, instead string) (fs.FileInfo, bool) {
	if k.ctx.Err() != nil || name == "" || k.faulty(path) {
		return nil, false
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.add(path, quote(name)+" does not exist", instead)
	case err != nil:
		k.add(path, quote(name)+" "+plain(err).Error(), "let the user that gatepost runs as read it")
	default:
		return info, true
	}
	return nil, false
}

// read reads the file that the key at path names.
func (k *checker) read(path, name string) ([]byte, bool) {
	info, ok := k.stat(path, name, "write the path of the file, relative to "+k.file)
	if !ok {
		return nil, false
	}
	if !info.Mode().IsRegular() { // and reading a pipe might not end
		k.add(path, quote(name)+" is no file", "write the path of the file itself")
		return nil, false
	}
	data, err := readUpTo(name, maxNamed)
	if err != nil {
		k.add(path, quote(name)+" "+err.Error(), "see that it is the right file, and readable")
		return nil, false
	}
	return data, true
}

// secret warns when anyone on the machine may use a private key. The keys that
// gatepost makes itself are read under a stricter rule, which is an error.
func (k *checker) secret(path, name string) {
	info, err := os.Stat(name)
	if err != nil || runtime.GOOS == "windows" { // which has no such modes
		return
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		k.warn(path, fmt.Sprintf("%s has mode %04o: everyone on this machine can use the key", quote(name), mode), "make it 0600, or 0640")
	}
}

func (k *checker) checkStorage(c *Config) {
	if c.Storage == "" || k.faulty("storage") {
		return
	}
	name := c.StorePath()
	// The server never makes the file: an empty inventory in place of a lost one
	// would turn every device away.
	info, ok := k.stat("storage", name, "restore a backup, or let `gatepost serve --create-store` make an empty one")
	switch {
	case !ok:
	case !info.Mode().IsRegular():
		k.add("storage", quote(name)+" is no file", "write bolt: and the path of a file")
	case info.Size() == 0:
		k.add("storage", quote(name)+" is empty, and no inventory", "restore a backup, or remove it and let `gatepost serve --create-store` make a new one")
	}
}

// checkKeyring opens a folder of keys that the command can make.
func (k *checker) checkKeyring(path, dir, algorithm, command string) {
	info, ok := k.stat(path, dir, "make it with `"+command+"`, or write the path of the folder")
	if !ok {
		return
	}
	if !info.IsDir() {
		k.add(path, quote(dir)+" is no folder", "write the path of the folder of keys")
		return
	}
	if err := k.parsers.Keyring(dir, algorithm); err != nil {
		k.add(path, quote(dir)+": "+err.Error(), "make keys with `"+command+"`, or put the right ones there")
	}
}

func (k *checker) checkMetadata(c *Config) {
	first := map[string]string{} // by entity ID
	for i, rp := range c.RelyingParties {
		path := fmt.Sprintf("relying_parties[%d].saml.metadata", i)
		data, ok := k.read(path, rp.SAML.Metadata)
		if !ok {
			continue
		}
		facts, err := k.parsers.Metadata(data, k.now)
		if err != nil {
			k.add(path, quote(rp.SAML.Metadata)+": "+err.Error(), "download the service provider's metadata from Okta again")
			continue
		}
		if facts.Expired != nil {
			// To refuse would turn a forgotten download into an outage at the
			// next restart; the keys in it are the registered ones until then.
			k.warn(path, facts.Expired.Error(), "")
		}
		if other, again := first[facts.EntityID]; again {
			k.add(path, quote(facts.EntityID)+" is "+other+" already", "delete one of them")
		} else {
			first[facts.EntityID] = strings.TrimSuffix(path, ".saml.metadata")
		}
		if rp.Encrypt && !facts.Encryptable {
			k.add(fmt.Sprintf("relying_parties[%d].encrypt", i), quote(rp.SAML.Metadata)+" has no RSA key to encrypt to",
				"write false, or get metadata with an encryption key")
		}
	}
}
