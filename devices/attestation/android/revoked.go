package android

import (
	"crypto/x509"
	"fmt"
	"math/big"

	"github.com/go-json-experiment/json"
)

// Revoked are the serial numbers of certificates that count no more, in
// lower-case hex without leading zeros.
type Revoked map[string]struct{}

// ParseStatus reads the status list of Android's attestation certificates, as it
// is at https://android.googleapis.com/attestation/status. Whether a certificate
// is revoked or suspended makes no difference.
func ParseStatus(data []byte) (Revoked, error) {
	var list struct {
		Entries map[string]struct {
			Status string `json:"status"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read status list: %w", err)
	}
	if list.Entries == nil { // it would revoke nothing, which no list does
		return nil, fmt.Errorf("read status list: no entries")
	}
	revoked := make(Revoked, len(list.Entries))
	for serial := range list.Entries {
		n, ok := new(big.Int).SetString(serial, 16)
		if !ok {
			return nil, fmt.Errorf("read status list: serial number %.80q is not hex", serial)
		}
		revoked[n.Text(16)] = struct{}{}
	}
	return revoked, nil
}

func (r Revoked) has(c *x509.Certificate) bool {
	_, ok := r[c.SerialNumber.Text(16)]
	return ok
}
