package main

import (
	"cmp"
	"errors"
	"strings"

	"gatepost.dev/posture"
)

// appFlag is APP=POLICY or name:NAME=POLICY.
type appFlag struct{ posture.AppPolicy }

// UnmarshalText reads the flag.
func (f *appFlag) UnmarshalText(text []byte) error {
	i := strings.LastIndexByte(string(text), '=')
	if i < 1 || i+1 == len(text) {
		return errors.New("write APP=POLICY, the ID of the app instance and the name of a policy, or name:NAME=POLICY")
	}
	app := string(text[:i])
	f.Policy = string(text[i+1:])
	if name, ok := strings.CutPrefix(app, "name:"); ok {
		f.Name = name
	} else {
		f.ID = app
	}
	return nil
}

func appPolicies(flags []appFlag) []posture.AppPolicy {
	var apps []posture.AppPolicy
	for _, f := range flags {
		apps = append(apps, f.AppPolicy)
	}
	return apps
}

func showApplications(t *table, apps []posture.AppPolicy) {
	for _, a := range apps {
		t.row("policy for "+cmp.Or(a.ID, "name:"+a.Name), a.Policy)
	}
}
