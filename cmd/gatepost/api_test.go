package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatepost.dev/admin"
	"gatepost.dev/posture"
)

// TestAPIRoles asks for every operation of the document as every role, and with
// every kind of token that does not count.
func TestAPIRoles(t *testing.T) {
	t.Parallel()
	w := newAPIWorld(t)
	bad := map[string]string{
		"none": "", "expired": "Bearer " + w.secrets["expired"], "revoked": "Bearer " + w.secrets["revoked"], "idle": "Bearer " + w.secrets["idle"],
		"from elsewhere": "Bearer " + w.secrets["away"], "of no address": "Bearer " + w.secrets["garbled"], "unknown": "Bearer " + secretOf("nobody"),
		"for enrolment": "Bearer gpe_" + strings.Repeat("a", 26), "cut": "Bearer " + w.secrets["admin"][:39], "longer": "Bearer " + w.secrets["admin"] + "a",
		"in upper case": "Bearer " + strings.ToUpper(w.secrets["admin"]), "basic": "Basic " + w.secrets["admin"], "bare": w.secrets["admin"],
		"empty": "Bearer ", "two": "Bearer " + w.secrets["admin"] + " " + w.secrets["admin"], "huge": "Bearer gpa_" + strings.Repeat("a", 5000),
	}
	operations := 0
	for template, item := range w.document.Paths.Map() {
		path := strings.NewReplacer("{id}", "nothing-there", "{name}", "nothing-there").Replace(template)
		for method, operation := range item.Operations() {
			operations++
			least, ok := operation.Extensions["x-role"].(string)
			if !ok || !posture.Admin.May(posture.Role(least)) {
				t.Fatalf("%s %s has the role %v", method, template, operation.Extensions["x-role"])
			}
			body, contentType := []byte(nil), ""
			if operation.RequestBody != nil {
				body, contentType = []byte("{}"), "application/json"
			}
			for kind, authorization := range bad {
				response, answer := w.ask(t, 2*operations, method, path, authorization, contentType, body)
				challenge := response.Header.Get("WWW-Authenticate")
				if response.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer ") {
					t.Errorf("%s %s with a token %s: %s, %q", method, path, kind, response.Status, challenge)
				}
				w.check(t, template, response, body, answer)
			}
			for _, role := range posture.Roles() {
				response, answer := w.ask(t, 2*operations, method, path, "Bearer "+w.secrets[string(role)], contentType, body)
				refused := response.StatusCode == http.StatusForbidden
				if refused == role.May(posture.Role(least)) || response.StatusCode == http.StatusUnauthorized {
					t.Errorf("%s %s as %s: %s; it is for %s", method, path, role, response.Status, least)
				}
				if response.Header.Get("X-Rate-Limit-Limit") != strconv.Itoa(apiRate) {
					t.Errorf("%s %s as %s: headers %v", method, path, role, response.Header)
				}
				w.check(t, template, response, body, answer)
			}
		}
	}
	if operations < 30 {
		t.Errorf("only %d operations", operations)
	}
}

// TestAPIRoleTable holds who may what: a change of it must be meant.
func TestAPIRoleTable(t *testing.T) {
	t.Parallel()
	want := map[posture.Role][]string{
		posture.Helpdesk: {"POST actions/lift", "POST actions/quarantine", "POST actions/recheck"},
		posture.Operator: {
			"DELETE devices/{id}/ek", "DELETE tokens/{id}", "GET tokens", "GET webhooks", "GET webhooks/{name}/dead", "PATCH devices/{id}", "POST actions/retire", "POST devices/import", "POST devices/{id}/approve",
			"POST devices/{id}/certificates", "POST devices/{id}/release", "POST policies/simulate", "POST tokens", "POST webhooks/{name}/retry", "PUT devices/{id}/ek",
		},
		posture.Admin: {
			"DELETE api-tokens/{id}", "DELETE clients/{name}", "DELETE relying-parties/{name}", "DELETE webhooks/{name}", "GET api-tokens", "POST api-tokens", "POST clients",
			"POST clients/{name}/rotate-secret", "POST keys/rotate", "POST keys/{id}/activate", "POST relying-parties", "POST webhooks",
			"POST webhooks/{name}/verify",
		},
	}
	got := map[posture.Role][]string{}
	for _, o := range newAPIWorld(t).current.Load().operations {
		if o.Role != posture.Viewer {
			got[o.Role] = append(got[o.Role], o.Method+" "+o.Path)
		} else if o.Method != http.MethodGet {
			t.Errorf("a viewer may %s %s", o.Method, o.Path)
		}
	}
	for role, operations := range got {
		slices.Sort(operations)
		if !slices.Equal(operations, want[role]) {
			t.Errorf("%s: %q, want %q", role, operations, want[role])
		}
	}
}

// TestAPIRates sends more than a token, and than an address without one, may.
func TestAPIRates(t *testing.T) {
	t.Parallel()
	w := newAPIWorld(t)
	for n, c := range []struct {
		authorization string
		limit, status int
	}{
		{"", strangerRate, http.StatusUnauthorized},
		{"Bearer " + w.secrets["viewer"], apiRate, http.StatusOK},
	} {
		limited := false
		for i := range c.limit + 200 {
			response, answer := w.ask(t, 10+2*n, "GET", admin.Prefix+"status", c.authorization, "", nil)
			w.check(t, admin.Prefix+"status", response, nil, answer)
			if limited = response.StatusCode == http.StatusTooManyRequests; limited {
				if i < c.limit || response.Header.Get("Retry-After") == "" || response.Header.Get("X-Rate-Limit-Remaining") != "0" || response.Header.Get("X-Rate-Limit-Reset") == "" {
					t.Errorf("after %d: %v", i, response.Header)
				}
				break
			}
			if response.StatusCode != c.status {
				t.Fatalf("%d: %s", i, response.Status)
			}
		}
		if !limited {
			t.Errorf("%q is never limited", c.authorization)
		}
	}
	// Others are not.
	if response, _ := w.ask(t, 20, "GET", admin.Prefix+"status", "Bearer "+w.secrets["admin"], "", nil); response.StatusCode != http.StatusOK {
		t.Errorf("another token: %s", response.Status)
	}
	if response, _ := w.ask(t, 20, "GET", admin.Prefix+"status", "", "", nil); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("another address: %s", response.Status)
	}
}

// TestAPIPaths: what is not there is said to those whom the API knows only.
func TestAPIPaths(t *testing.T) {
	t.Parallel()
	w := newAPIWorld(t)
	viewer := "Bearer " + w.secrets["viewer"]
	for n, c := range []struct {
		method, path, authorization string
		status                      int
		allow                       string
	}{
		{"GET", "nothing", "", 401, ""},
		{"GET", "nothing", viewer, 404, ""},
		{"DELETE", "devices", "", 401, ""},
		{"DELETE", "devices", viewer, 405, "GET"},
		{"PUT", "devices/mac-1", viewer, 405, "GET, PATCH"},
		{"POST", "openapi.json", viewer, 405, "GET"},
		{"GET", "openapi.json", "", 200, ""},
		{"HEAD", "status", viewer, 200, ""},
		{"GET", "status?token=" + w.secrets["viewer"], "", 401, ""},
	} {
		response, _ := w.ask(t, 2*n, c.method, admin.Prefix+c.path, c.authorization, "", nil)
		if response.StatusCode != c.status || response.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %s, %q", c.method, c.path, response.Status, response.Header.Get("Allow"))
		}
	}
	w.addToken(t, "norole", "owner", func(*posture.APIToken) {})
	if response, _ := w.ask(t, 30, "GET", admin.Prefix+"status", "Bearer "+w.secrets["norole"], "", nil); response.StatusCode != http.StatusForbidden {
		t.Errorf("a token of no role: %s", response.Status)
	}
	if fmt.Sprint(w.document.Info.Version) != version() {
		t.Errorf("version %q", w.document.Info.Version)
	}
}
