package saml

import (
	"context"
	"errors"
	"fmt"
)

// ErrSigned says that an answer was signed before: a decision is recorded for
// one answer, and one answer leaves.
var ErrSigned = errors.New("answer was signed before")

// Sign signs the answer with s and returns the whole Response document. It may
// be called once.
func (p *Prepared) Sign(ctx context.Context, s *Signer) ([]byte, error) {
	if p.signed {
		return nil, ErrSigned
	}
	p.signed = true
	body := []*writer{}
	if p.assertionStart != nil {
		assertion, err := p.assertion(ctx, s)
		if err != nil {
			return nil, err
		}
		body = assertion
	}
	parts := append(append(make([]*writer, 0, 8), &p.start), &p.status)
	parts = append(append(parts, body...), &writer{b: []byte(responseEnd)})
	if p.scope != SignAssertion {
		sig, err := s.signature(ctx, p.id, parts...)
		if err != nil {
			return nil, err
		}
		parts = append(parts[:1], append([]*writer{sig}, parts[1:]...)...)
	}
	return join(parts), nil
}

// assertion returns the parts of the assertion as they stand in the Response:
// signed when the scope says so, then encrypted when there is a key.
func (p *Prepared) assertion(ctx context.Context, s *Signer) ([]*writer, error) {
	parts := []*writer{p.assertionStart, p.assertionBody}
	if p.scope != SignResponse {
		sig, err := s.signature(ctx, p.assertionID, parts...)
		if err != nil {
			return nil, err
		}
		parts = []*writer{p.assertionStart, sig, p.assertionBody}
	}
	if p.encryptTo == nil {
		return parts, nil
	}
	enc, err := p.encryptTo.encrypt(join(parts))
	if err != nil {
		return nil, fmt.Errorf("encrypt assertion: %w", err)
	}
	return []*writer{enc}, nil
}

func join(parts []*writer) []byte {
	n := 0
	for _, w := range parts {
		n += len(w.b)
	}
	out := make([]byte, 0, n)
	for _, w := range parts {
		out = append(out, w.b...)
	}
	return out
}
