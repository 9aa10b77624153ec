package oidc_test

import (
	"net/url"
	"reflect"
	"testing"

	"gatepost.dev/idp/oidc"
)

func TestReply(t *testing.T) {
	t.Parallel()
	const issuer = "https://posture.example.com"
	refusal := &oidc.Error{Code: oidc.AccessDenied, Description: "DEVICE_NOT_MANAGED", Reason: "stale"}
	type fields = []oidc.Parameter
	for _, tt := range []struct {
		name   string
		change func(*oidc.Authorization)
		answer func(*oidc.Authorization) oidc.Reply
		want   fields
	}{
		{"code", nil, func(a *oidc.Authorization) oidc.Reply { return a.Success(issuer, "c") },
			fields{{"code", "c"}, {"state", "state-1"}, {"iss", issuer}}},
		{"code without state", func(a *oidc.Authorization) { a.State = "" }, func(a *oidc.Authorization) oidc.Reply { return a.Success(issuer, "c") },
			fields{{"code", "c"}, {"iss", issuer}}},
		{"code without iss", func(a *oidc.Authorization) { a.Client.OmitIss = true }, func(a *oidc.Authorization) oidc.Reply { return a.Success(issuer, "c") },
			fields{{"code", "c"}, {"state", "state-1"}}},
		{"refusal", nil, func(a *oidc.Authorization) oidc.Reply { return a.Refusal(issuer, refusal) },
			fields{{"error", "access_denied"}, {"error_description", "DEVICE_NOT_MANAGED"}, {"state", "state-1"}, {"iss", issuer}}},
		{"refusal without iss", func(a *oidc.Authorization) { a.Client.OmitIss = true }, func(a *oidc.Authorization) oidc.Reply { return a.Refusal(issuer, refusal) },
			fields{{"error", "access_denied"}, {"error_description", "DEVICE_NOT_MANAGED"}, {"state", "state-1"}}},
		{"refusal without words", func(a *oidc.Authorization) { a.State = "" }, func(a *oidc.Authorization) oidc.Reply {
			return a.Refusal(issuer, &oidc.Error{Code: oidc.LoginRequired})
		}, fields{{"error", "login_required"}, {"iss", issuer}}},
	} {
		for _, post := range []bool{false, true} {
			a := askedFor()
			a.FormPost = post
			if tt.change != nil {
				tt.change(a)
			}
			want := oidc.Reply{RedirectURI: a.RedirectURI, Fields: tt.want, FormPost: post}
			if got := tt.answer(a); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v, want %+v", tt.name, got, want)
			}
		}
	}
}

func TestReplyURL(t *testing.T) {
	t.Parallel()
	hostile := "a b+c&iss=x#f\"<>%0a\r\n\x00é☕"
	for _, tt := range []struct {
		redirect string
		fields   []oidc.Parameter
		want     string
	}{
		{"https://rp.example/cb", []oidc.Parameter{{"code", "c"}, {"state", "s"}}, "https://rp.example/cb?code=c&state=s"},
		{"https://rp.example", []oidc.Parameter{{"code", "c"}}, "https://rp.example?code=c"},
		{"https://rp.example/cb?", []oidc.Parameter{{"code", "c"}, {"state", ""}}, "https://rp.example/cb?code=c&state="},
		{"https://rp.example/cb?a=%20b&&a=c+d", []oidc.Parameter{{"code", "c"}}, "https://rp.example/cb?a=%20b&&a=c+d&code=c"},
		{"https://rp.example/cb?a=b?", []oidc.Parameter{{"code", "c"}}, "https://rp.example/cb?a=b?&code=c"},
		{"http://[::1]:8080/cb", []oidc.Parameter{{"state", hostile}},
			"http://[::1]:8080/cb?state=a+b%2Bc%26iss%3Dx%23f%22%3C%3E%250a%0D%0A%00%C3%A9%E2%98%95"},
	} {
		r := oidc.Reply{RedirectURI: tt.redirect, Fields: tt.fields}
		got := r.URL()
		if got != tt.want {
			t.Errorf("URL = %q, want %q", got, tt.want)
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range tt.fields {
			if values := u.Query()[f.Name]; len(values) != 1 || values[0] != f.Value {
				t.Errorf("%s of %q is %q, want %q", f.Name, got, values, f.Value)
			}
		}
	}
}
