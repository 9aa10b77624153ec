package tpmkey

import (
	"encoding/asn1"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// with opens the TPM for as long as do takes, which is nobody else's turn.
func (d *Device) with(do func(t transport.TPM) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := open(d.Path)
	if err != nil {
		return fmt.Errorf("%w: open %q: %w", ErrNoTPM, d.Path, err)
	}
	defer t.Close()
	if err := do(t); err != nil {
		return fmt.Errorf("%w: %w", ErrNoTPM, err)
	}
	return nil
}

// loaded is an object within the TPM.
type loaded struct {
	at   tpm2.TPMHandle
	name tpm2.TPM2BName
	area *tpm2.TPMTPublic // of a primary key
}

func (l *loaded) handle() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: l.at, Name: l.name, Auth: tpm2.PasswordAuth(nil)}
}

// flush makes room. Nothing is lost if it fails, but a place in a TPM that has no
// resource manager, until it starts anew.
func (l *loaded) flush(t transport.TPM) { _, _ = tpm2.FlushContext{FlushHandle: l.at}.Execute(t) }

// createPrimary makes the key that the hierarchy's seed gives for the template,
// which is always the same one.
func createPrimary(t transport.TPM, hierarchy tpm2.TPMHandle, template *tpm2.TPMTPublic) (*loaded, error) {
	made, err := tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(*template)}.Execute(t)
	if err != nil {
		return nil, err
	}
	l := &loaded{at: made.ObjectHandle, name: made.Name}
	if l.area, err = made.OutPublic.Contents(); err != nil {
		l.flush(t)
		return nil, err
	}
	return l, nil
}

// load loads a key that create made.
func load(t transport.TPM, o *Object) (*loaded, error) {
	srk, err := createPrimary(t, tpm2.TPMRHOwner, &tpm2.ECCSRKTemplate)
	if err != nil {
		return nil, fmt.Errorf("make storage root key: %w", err)
	}
	defer srk.flush(t)
	l, err := tpm2.Load{
		ParentHandle: srk.handle(),
		InPrivate:    tpm2.TPM2BPrivate{Buffer: o.Private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](o.Public),
	}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("load key: %w", err)
	}
	return &loaded{at: l.ObjectHandle, name: l.Name}, nil
}

// nvBlock is how much is read at once: every TPM can do that.
const nvBlock = 512

// readCertificate reads the certificate at the index; nil: there is none.
func readCertificate(t transport.TPM, index tpm2.TPMHandle) []byte {
	public, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t)
	if err != nil {
		return nil
	}
	area, err := public.NVPublic.Contents()
	if err != nil {
		return nil
	}
	var all []byte
	for at := 0; at < int(area.DataSize); at += nvBlock {
		block, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index, Name: public.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: public.NVName},
			Size:       uint16(min(nvBlock, int(area.DataSize)-at)), Offset: uint16(at),
		}.Execute(t)
		if err != nil {
			return nil
		}
		all = append(all, block.Data.Buffer...)
	}
	// Some fill the place with what is no part of the certificate.
	var certificate asn1.RawValue
	if _, err := asn1.Unmarshal(all, &certificate); err != nil {
		return nil
	}
	return certificate.FullBytes
}
