package ocsf_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// edit changes an event that is valid.
type edit func(event map[string]any)

// within gives what is at a path of names; of a list, its first entry.
func within(event map[string]any, path string) map[string]any {
	for step := range strings.SplitSeq(path, ".") {
		switch value := event[step].(type) {
		case map[string]any:
			event = value
		case []any:
			event = value[0].(map[string]any)
		}
	}
	return event
}

func drop(path, name string) edit {
	return func(event map[string]any) { delete(within(event, path), name) }
}

func set(path, name string, value any) edit {
	return func(event map[string]any) { within(event, path)[name] = value }
}

// TestValidatorBites shows that each fault is found, and no other with it.
func TestValidatorBites(t *testing.T) {
	long := strings.Repeat("1", 40)
	for name, c := range map[string]struct {
		example string
		edit    edit
		want    string // how the only fault begins
	}{
		"required attribute of the base event": {"decided", drop("", "time"), "time: required"},
		"required severity":                    {"decided", drop("", "severity_id"), "severity_id: required"},
		"required attribute of a class":        {"decided", drop("", "user"), "user: required"},
		"required attribute of a parent":       {"noncompliant", drop("", "finding_info"), "finding_info: required"},
		"required device":                      {"enrolled", drop("", "device"), "device: required"},
		"required endpoint":                    {"changed", drop("", "src_endpoint"), "src_endpoint: required"},
		"required attribute of an object":      {"decided", drop("metadata", "product"), "metadata.product: required"},
		"required attribute inherited":         {"enrolled", drop("device", "type_id"), "device.type_id: required"},
		"required attribute that is empty":     {"noncompliant", set("remediation", "desc", ""), "remediation.desc: required"},
		"required attribute in an array":       {"changed", drop("actor.user.programmatic_credentials", "uid"), "actor.user.programmatic_credentials[0].uid: required"},
		"required attribute two objects down":  {"changed", drop("api.request", "uid"), "api.request.uid: required"},

		"unknown attribute":                {"decided", set("", "gatepost", "x"), "gatepost: unknown attribute"},
		"attribute of another class":       {"decided", set("", "finding_info", map[string]any{}), "finding_info: unknown attribute"},
		"unknown attribute of an object":   {"decided", set("user", "nickname", "x"), "user.nickname: unknown attribute"},
		"unknown attribute in an array":    {"noncompliant", set("compliance.checks", "rule", "x"), "compliance.checks[0].rule: unknown attribute"},
		"attribute of an unlisted profile": {"told", set("metadata", "profiles", []any{"security_control"}), `device: attribute of the profile "host"`},
		"profile that the class has not":   {"enrolled", set("metadata", "profiles", []any{"container"}), "metadata.profiles: the class has no"},
		"profile that is there twice":      {"told", set("metadata", "profiles", []any{"host", "security_control", "host"}), "metadata.profiles: \"host\" is there twice"},

		"text for a number":     {"decided", set("", "time", "1795363200250"), "time: 1795363200250 is no long_t"},
		"fraction":              {"decided", set("", "time", 1.5), "time: 1.5 is no long_t"},
		"number of 33 bits":     {"changed", set("http_response", "code", 1<<32), "http_response.code: 4294967296 is no integer_t"},
		"number for a text":     {"decided", set("", "message", 1), "message: 1 is no string_t"},
		"text for a truth":      {"decided", set("", "is_remote", "true"), "is_remote: true is no boolean_t"},
		"text for an object":    {"decided", set("", "service", "acme"), "service: string, want an object"},
		"object for an array":   {"noncompliant", set("", "resources", map[string]any{"uid": "1"}), "resources: map[string]interface {}, want an array"},
		"empty array":           {"noncompliant", set("compliance", "requirements", []any{}), "compliance.requirements: []interface {}, want an array"},
		"null":                  {"decided", set("", "message", nil), "message: null"},
		"text for unmapped":     {"decided", set("", "unmapped", "x"), "unmapped: string, want an object"},
		"no address":            {"decided", set("src_endpoint", "ip", "203.0.113"), "src_endpoint.ip: 203.0.113 is no ip_t"},
		"address with a port":   {"decided", set("src_endpoint", "ip", "203.0.113.7:1"), "src_endpoint.ip: 203.0.113.7:1 is no ip_t"},
		"address that is long":  {"decided", set("src_endpoint", "ip", "fe80::1%"+long), "src_endpoint.ip: 48 bytes"},
		"port out of range":     {"decided", set("src_endpoint", "port", 65536), "src_endpoint.port: 65536 is out of the range"},
		"negative port":         {"decided", set("src_endpoint", "port", -1), "src_endpoint.port: -1 is out of the range"},
		"no UUID":               {"refused", set("device.hw_info", "uuid", "1"), `device.hw_info.uuid: "1" does not match uuid_t`},
		"no MAC address":        {"enrolled", set("device", "mac", "1"), `device.mac: "1" does not match mac_t`},
		"no e-mail address":     {"decided", set("user", "email_addr", "ann"), `user.email_addr: "ann" does not match email_t`},
		"no array of addresses": {"changed", set("http_request", "x_forwarded_for", []any{"192.0.2.1", "x"}), "http_request.x_forwarded_for[1]: x is no ip_t"},

		"number outside the enumeration":      {"decided", set("", "auth_protocol_id", 55), "auth_protocol_id: 55 is not in the enumeration"},
		"severity outside the enumeration":    {"decided", set("", "severity_id", 7), "severity_id: 7 is not in the enumeration"},
		"another class's status":              {"decided", set("", "status_id", 4), "status_id: 4 is not in the enumeration"},
		"text outside the enumeration":        {"changed", set("http_request", "http_method", "post"), "http_request.http_method: post is not in the enumeration"},
		"enumeration of an object in a list":  {"noncompliant", set("compliance.checks", "status_id", 8), "compliance.checks[0].status_id: 8 is not in the enumeration"},
		"another category":                    {"decided", set("", "category_uid", 6), "category_uid: 6 is not in the enumeration"},
		"another type":                        {"decided", set("", "type_uid", 300202), "type_uid: 300202, want 300201"},
		"another type's name":                 {"decided", set("", "type_name", "Logon"), "type_name: "},
		"another class's name":                {"decided", set("", "class_name", "Logon"), "class_uid: 3002 is"},
		"caption of another number":           {"decided", set("", "severity", "High"), `severity_id: 1 is "Informational"`},
		"caption of another number, deep":     {"enrolled", set("device", "type", "Laptop"), `device.type_id: 0 is "Unknown"`},
		"99 without a caption":                {"requested", drop("", "status"), "status_id: 99 needs its caption"},
		"at least one, of a class":            {"decided", drop("", "service"), "at_least_one of service"},
		"at least one, of an object's parent": {"enrolled", drop("device", "uid"), "device: at_least_one of ip"},
		"at least one, that is empty":         {"enrolled", set("device", "uid", ""), "device: at_least_one of ip"},
		"deprecated attribute of a class":     {"noncompliant", set("", "comment", "x"), "comment: deprecated"},
		"deprecated attribute below":          {"noncompliant", set("", "resource", map[string]any{"uid": "1"}), "resource: deprecated"},
		"deprecated in the dictionary":        {"enrolled", set("device", "imei", "1"), "device.imei: deprecated"},
		"another version of the schema":       {"decided", set("metadata", "version", "1.3.0"), "metadata.version: "},
		"no such class":                       {"decided", set("", "class_uid", 3999), "no class 3999"},
	} {
		x := examples()[c.example]
		event := decoded(t, x.marshal(t))
		c.edit(event)
		text, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		faults := loadSchema(t).Validate(text)
		if len(faults) != 1 || !strings.HasPrefix(strings.TrimPrefix(faults[0], ": "), c.want) {
			t.Errorf("%s: found %q, want one that begins with %q", name, faults, c.want)
		}
	}
}

func TestValidatorReadsStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"": "no JSON object", "[]": "no JSON object", "{}{}": "something follows", "{\"message\":\"\xff\"}": "not UTF-8", "{": "no JSON object",
	} {
		faults := loadSchema(t).Validate([]byte(text))
		if len(faults) != 1 || !strings.Contains(faults[0], want) {
			t.Errorf("%q: found %q, want %q", text, faults, want)
		}
	}
}
