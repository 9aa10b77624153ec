package agent

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"gatepost.dev/agent/tpmkey"
	"gatepost.dev/agentapi"
)

// tpmBlock is the type of the PEM block in place of PRIVATE KEY when a TPM has the
// key: what is in it is of no use without that TPM.
const tpmBlock = "GATEPOST TPM KEY"

// tpmObject is what is in the block, as JSON.
type tpmObject struct {
	Path string `json:"path"` // of the TPM
	tpmkey.Object
}

// newKey is a key that has no certificate yet.
type newKey struct {
	signer   crypto.Signer
	object   *tpmObject            // nil: the key is software's
	evidence *agentapi.TPMEvidence // nil: nothing vouches for it
	noTPM    string                // why the key is software's although there is a TPM
	refused  bool                  // the server takes no evidence of this TPM
	csr      string                // PKCS #10 in PEM, in which nothing else stands
}

// softwareKey makes a key that is kept in a file.
func softwareKey() (*newKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return requestFor(&newKey{signer: key})
}

// requestFor adds the certificate request.
func requestFor(k *newKey) (*newKey, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k.signer)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	k.csr = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	return k, nil
}

// block is the key as it is kept.
func (k *newKey) block() (*pem.Block, error) {
	if k.object != nil {
		text, err := json.Marshal(k.object)
		return &pem.Block{Type: tpmBlock, Bytes: text}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.signer)
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}, err
}

// state is what is said of the key, for which the server said why it is not
// attested.
func (k *newKey) state(why agentapi.NotAttested) TPM {
	switch {
	case k.object == nil:
		return TPM{Trouble: k.noTPM}
	case k.refused:
		why = agentapi.BadEvidence
	}
	return TPM{Path: k.object.Path, NotAttested: why}
}

// writeCredential puts a key and its certificate in the place of the former
// ones.
func (a *Agent) writeCredential(file string, key *newKey, certificate, authority string) error {
	block, err := key.block()
	if err != nil {
		return err
	}
	data := append(pem.EncodeToMemory(block), certificate+authority...)
	c, err := a.parseCredential(data)
	if err != nil {
		return fmt.Errorf("the server's certificate does not go with the key: %w", err)
	}
	if len(c.Certificate) != 2 {
		return fmt.Errorf("the server sent %d certificates, not two", len(c.Certificate))
	}
	return a.write(file, data)
}

func (a *Agent) credential() (tls.Certificate, error) { return a.readCredential(credentialFile) }

func (a *Agent) readCredential(file string) (tls.Certificate, error) {
	data, err := os.ReadFile(filepath.Join(a.Dir, file))
	if errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, ErrNotEnrolled
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	return a.parseCredential(data)
}

// parseCredential reads what writeCredential writes. A TPM is not asked.
func (a *Agent) parseCredential(data []byte) (c tls.Certificate, err error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != tpmBlock {
		return tls.X509KeyPair(data, data)
	}
	object, err := parseObject(block)
	if err != nil {
		return c, err
	}
	signer, err := a.tpms.at(object.Path).Signer(&object.Object)
	if err != nil {
		return c, err
	}
	for block, rest = pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			c.Certificate = append(c.Certificate, block.Bytes)
		}
	}
	if len(c.Certificate) == 0 {
		return c, errors.New("no certificate stands beside the key")
	}
	if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
		return c, err
	}
	if key, ok := signer.Public().(*ecdsa.PublicKey); !ok || !key.Equal(c.Leaf.PublicKey) {
		return c, errors.New("the certificate is of another key than the TPM's")
	}
	c.PrivateKey = signer
	return c, nil
}

// keyPlace is the path of the TPM that has the agent's key; empty: a file has it.
func (a *Agent) keyPlace() (string, error) {
	data, err := os.ReadFile(filepath.Join(a.Dir, credentialFile))
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != tpmBlock {
		return "", nil
	}
	object, err := parseObject(block)
	if err != nil {
		return "", err
	}
	if object.Path == "" { // or the next key would be made in a file
		return "", errors.New("the key of the TPM is damaged: it does not say where the TPM is")
	}
	return object.Path, nil
}

func parseObject(block *pem.Block) (*tpmObject, error) {
	object := new(tpmObject)
	if err := json.Unmarshal(block.Bytes, object); err != nil {
		return nil, fmt.Errorf("the key of the TPM is damaged: %w", err)
	}
	return object, nil
}

// ownBrowserKey tells whether the browsers have a certificate of their own: none
// of them can use a key that a TPM keeps for somebody else.
func (s *State) ownBrowserKey() bool { return s.TPM.Path != "" && !s.Browsers.None }

// browserCredential is the certificate for the browsers, with its key.
func (a *Agent) browserCredential(s *State) (tls.Certificate, error) {
	if !s.ownBrowserKey() {
		return a.credential()
	}
	c, err := a.readCredential(browserFile)
	if errors.Is(err, ErrNotEnrolled) {
		err = errors.New("they have none of their own yet")
	}
	return c, err
}

// keepBrowserKey gets the browsers' own certificate, for a key that software made.
// That it cannot is noted; the next cycle tries again.
func (a *Agent) keepBrowserKey(ctx context.Context, s *State) {
	err := func() error {
		certificate, err := a.credential()
		if err != nil {
			return err
		}
		w, err := newWire(s.DeviceURL, []byte(s.Roots), &certificate)
		if err != nil {
			return err
		}
		defer w.close()
		key, err := softwareKey()
		if err != nil {
			return err
		}
		r, err := a.renewWith(ctx, w, key, browserFile)
		if err != nil {
			return err
		}
		s.BrowserRenewAt = r.RenewAt
		return a.writeState(*s)
	}()
	if err != nil {
		a.Log.LogAttrs(ctx, slog.LevelWarn, "no certificate for the browsers", slog.String("error", err.Error()))
	}
}
