package main

import (
	"errors"
	"fmt"
	"io/fs"

	"gatepost.dev/idp/oidc"
)

// checkClients reads what OpenID Connect clients prove themselves with.
func (k *checker) checkClients(c *Config) {
	for i := range c.RelyingParties {
		o, path := &c.RelyingParties[i].OIDC, fmt.Sprintf("relying_parties[%d].oidc", i)
		k.checkSecretFile(path+".client_secret_file", o.ClientSecretFile)
		if data, ok := k.read(path+".jwks_file", o.JWKSFile); ok {
			if _, err := oidc.ParseKeys(data); err != nil {
				k.add(path+".jwks_file", quote(o.JWKSFile)+": "+err.Error(), "write the path of a JWK Set with the client's public keys")
			}
		}
	}
}

// checkSecretFile never quotes the value when there is no such file: what stands
// there may be the secret itself.
func (k *checker) checkSecretFile(path, name string) {
	if k.ctx.Err() != nil || name == "" || k.faulty(path) {
		return
	}
	_, err := readSecrets(name)
	k.secretFault(path, name, "the secret", err)
}

// secretFault adds what is wrong with a file of secrets, if anything is.
func (k *checker) secretFault(path, name, what string, err error) {
	bad := (*secretFileError)(nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.add(path, "names a file that does not exist", "write the path of the file with "+what+", relative to "+k.file)
	case errors.As(err, &bad):
		k.add(path, quote(name)+" "+bad.problem, bad.instead)
	case err != nil:
		k.add(path, quote(name)+" "+plain(err).Error(), "let the user that gatepost runs as read it")
	}
}
