package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

const documentPath = "openapi.json"

// Document describes the operations as OpenAPI 3.1 does, with the role that each
// asks for as x-role. server is the URL below which Prefix is.
func Document(operations []Operation, server, version string) ([]byte, error) {
	s := schemas{named: map[string]*jsonschema.Schema{}}
	problem, err := s.of(reflect.TypeFor[Problem]())
	if err != nil {
		return nil, err
	}
	paths := map[string]map[string]any{}
	for i := range operations {
		o := &operations[i]
		described, err := s.describe(o)
		if err != nil {
			return nil, fmt.Errorf("describe %s %s: %w", o.Method, o.Path, err)
		}
		path := Prefix + o.Path
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(o.Method)] = described
	}
	return json.Marshal(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Gatepost administration", "version": version,
			"description": "Each operation asks for a role (x-role): " + roleNames() + ", each of which may do all that those before it may. " +
				"Callers show an API token, which \"gatepost token create --kind api\" makes.",
		},
		"servers":  []any{map[string]any{"url": server}},
		"security": []any{map[string]any{"token": []string{}}},
		"paths":    paths,
		"components": map[string]any{
			"schemas":         s.named,
			"securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}},
			"responses": map[string]any{"problem": map[string]any{
				"description": "Refused; the detail says why.",
				"content":     map[string]any{"application/problem+json": map[string]any{"schema": problem}},
			}},
			"headers": map[string]any{
				"limit":     header("Requests a minute that the token may send.", "integer"),
				"remaining": header("Requests that it may still send at once.", "integer"),
				"reset":     header("When all may be sent again, in Unix seconds.", "integer"),
				"etag":      header("Entity tag of the answer (RFC 9110).", "string"),
			},
		},
	})
}

func roleNames() string {
	var names []string
	for _, r := range posture.Roles() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

func header(description, kind string) map[string]any {
	return map[string]any{"description": description, "schema": map[string]any{"type": kind}}
}

// describe is the Operation Object (OpenAPI 3.1.0 section 4.8.10).
func (s *schemas) describe(o *Operation) (map[string]any, error) {
	described := map[string]any{
		"operationId": operationID(o), "summary": o.Summary, "tags": []string{strings.SplitN(o.Path, "/", 2)[0]}, "x-role": o.Role,
	}
	var parameters []any
	for _, name := range pathParameters(o.Path) {
		parameters = append(parameters, map[string]any{"name": name, "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
	}
	for _, p := range o.Query {
		schema := map[string]any{"type": map[reflect.Kind]string{reflect.String: "string", reflect.Int: "integer", reflect.Bool: "boolean"}[p.Type.Kind()]}
		if p.Values != nil {
			schema["enum"] = p.Values
		}
		parameters = append(parameters, map[string]any{"name": p.Name, "in": "query", "description": p.Summary, "schema": schema})
	}
	if o.Tagged {
		name := map[bool]string{true: "If-Match", false: "If-None-Match"}[o.changes()]
		parameters = append(parameters, map[string]any{"name": name, "in": "header", "schema": map[string]any{"type": "string"}})
	}
	if parameters != nil {
		described["parameters"] = parameters
	}
	if err := s.describeBody(o, described); err != nil {
		return nil, err
	}
	responses, err := s.responses(o)
	described["responses"] = responses
	return described, err
}

func (s *schemas) describeBody(o *Operation, described map[string]any) error {
	if o.File {
		described["requestBody"] = map[string]any{"required": true, "content": map[string]any{"application/octet-stream": map[string]any{}}}
	}
	if o.Body == nil {
		return nil
	}
	schema, err := s.of(o.Body)
	if err != nil {
		return err
	}
	s.named[componentName(o.Body)].Required = demanded(s.named[componentName(o.Body)])
	described["requestBody"] = map[string]any{"required": !o.NoBodyToo, "content": map[string]any{"application/json": map[string]any{"schema": schema}}}
	return nil
}

func (s *schemas) responses(o *Operation) (map[string]any, error) {
	headers := map[string]any{}
	for name, component := range map[string]string{"X-Rate-Limit-Limit": "limit", "X-Rate-Limit-Remaining": "remaining", "X-Rate-Limit-Reset": "reset"} {
		headers[name] = ref("headers", component)
	}
	if o.Tagged {
		headers["ETag"] = ref("headers", "etag")
	}
	success := map[string]any{"description": "Done.", "headers": headers}
	status := http.StatusOK
	switch {
	case o.Answer == nil:
		status = http.StatusNoContent
	case o.Created:
		status = http.StatusCreated
	}
	if o.Answer != nil {
		schema, err := s.of(o.Answer)
		if err != nil {
			return nil, err
		}
		media := "application/json"
		if o.Lines {
			media = "application/x-ndjson"
			success["description"] = "Lines of JSON, each of which is as the schema says."
		}
		success["content"] = map[string]any{media: map[string]any{"schema": schema}}
	}
	responses := map[string]any{strconv.Itoa(status): success}
	if o.Tagged && !o.changes() {
		responses["304"] = map[string]any{"description": "As the client has it.", "headers": headers}
	}
	for _, statuses := range [][]int{commonRefusals, o.Refusals} {
		for _, status := range statuses {
			responses[strconv.Itoa(status)] = ref("responses", "problem")
		}
	}
	return responses, nil
}

func ref(kind, name string) map[string]any {
	return map[string]any{"$ref": "#/components/" + kind + "/" + name}
}

var pathParameter = regexp.MustCompile(`\{([a-z]+)\}`)

func pathParameters(path string) (names []string) {
	for _, found := range pathParameter.FindAllStringSubmatch(path, -1) {
		names = append(names, found[1])
	}
	return names
}

// operationID is such as "post_devices_id_approve".
func operationID(o *Operation) string {
	return strings.ToLower(o.Method) + "_" + strings.Trim(regexp.MustCompile(`[^a-z]+`).ReplaceAllString(o.Path, "_"), "_")
}

// ServeDocument serves the OpenAPI document to everybody: it tells nothing of the
// installation.
func ServeDocument(document []byte, o *web.Options) http.Handler {
	tag, err := tagOf(json.RawMessage(document))
	return web.Handle("GET "+Prefix+documentPath, func(w http.ResponseWriter, r *http.Request) error {
		if err != nil {
			return err
		}
		h := w.Header()
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache")
		if tagIn(r.Header.Values("If-None-Match"), tag, true) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		h.Set("Content-Type", "application/json")
		_, err := w.Write(document)
		return err
	}, o)
}
