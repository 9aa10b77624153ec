package main

import (
	"fmt"
	"slices"

	"gatepost.dev/posture"
)

// methods are the ways to be recognised that count.
func (p *Policy) methods() []posture.Method {
	var methods []posture.Method
	for _, m := range p.RecognisedBy {
		methods = append(methods, posture.Method(m))
	}
	return methods
}

// validateProof finds the faults of what a policy demands of the proof.
func validateProof(f *findings, path string, p *Policy) {
	if p.Rank != "" {
		oneOf(f, path+".rank", p.Rank, ranksFrom(posture.RankProxy)...)
	}
	for i, m := range p.RecognisedBy {
		path := fmt.Sprintf("%s.recognised_by[%d]", path, i)
		oneOf(f, path, m, string(posture.ByCertificate), string(posture.ByChallenge))
		if slices.Contains(p.RecognisedBy[:i], m) {
			f.add(path, quote(m)+" is there twice", "delete one")
		}
	}
	if p.RecognisedBy != nil && len(p.RecognisedBy) == 0 {
		f.add(path+".recognised_by", "would recognise no device", "write certificate, challenge or both, or delete it")
	}
}

// ranksFrom are the ranks from the least on.
func ranksFrom(least posture.Rank) []string {
	var names []string
	for _, r := range posture.Ranks() {
		if r.AtLeast(least) {
			names = append(names, string(r))
		}
	}
	return names
}
