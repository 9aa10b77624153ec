package tpmkey

import (
	"errors"

	"github.com/google/go-tpm/tpm2/transport"
)

// open refuses: Windows keeps its TPM to itself, and lends it out by its own
// interfaces, which nobody has run this with.
func open(string) (transport.TPMCloser, error) {
	return nil, errors.New("TPMs are used on Linux only")
}
