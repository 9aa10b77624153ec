package certs

import (
	"crypto/x509"
	"slices"
	"testing"
)

func TestVerifyPath(t *testing.T) {
	t.Parallel()
	corp := root("Corporate root")
	issuing := corp.sub("Issuing 1")
	v := newTestVerifier(t, trusted(corp, IDFromCN))
	direct, below := corp.leaf(), issuing.leaf()
	for name, tt := range map[string]struct{ chain, want []*x509.Certificate }{
		"direct":               {chain(direct), chain(direct, corp.cert)},
		"authority sent along": {chain(direct, corp.cert), chain(direct, corp.cert)},
		"by another":           {chain(below, issuing.cert), chain(below, issuing.cert, corp.cert)},
		"strangers sent along": {chain(below, root("x").cert, corp.cert, issuing.cert), chain(below, issuing.cert, corp.cert)},
	} {
		for _, when := range []string{"first", "remembered"} {
			id, path, err := v.VerifyPath(tt.chain, testNow)
			if err != nil || id.KeyHash != KeyHash(tt.chain[0]) {
				t.Fatalf("%s, %s: %+v, error %v", name, when, id, err)
			}
			if !slices.EqualFunc(path, tt.want, (*x509.Certificate).Equal) {
				t.Errorf("%s, %s: a path of %d certificates, want %d", name, when, len(path), len(tt.want))
			}
		}
	}
	if _, path, err := v.VerifyPath(chain(root("y").leaf()), testNow); err == nil || path != nil {
		t.Errorf("a stranger has the path %v", path)
	}
}
