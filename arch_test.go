// Package gatepost_test holds the architecture: which package may import which
// and why, and the rules that the code itself shows. Nothing here runs the
// product; every rule is read off the source.
package gatepost_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "gatepost.dev"

// rule is what a package may import besides the standard library and the
// modules below.
type rule struct {
	why     string
	imports []string // packages of this module, for all files
	tests   []string // more of them, for test files
	never   []string // of the standard library, subpackages included, unless in except
	except  []string
}

// world is what a pure package cannot touch: with it, its tests would need one.
var world = []string{"os", "net", "log", "syscall", "io/fs", "path/filepath", "database", "crypto/rand", "math/rand"}

// packages has a line for each package of the module.
var packages = map[string]rule{
	"posture": {
		why:   "the domain: a verdict depends on a device, a policy and a time, nothing else",
		never: world,
	},
	"posture/rules": {
		why:     "the language of policies: what it costs to compile it is not the domain's, which knows a rule as an interface",
		imports: []string{"posture"},
		never:   world, except: []string{"net/url"},
	},
	"contract": {
		why:   "Okta's contract as data and checks over bytes: provider and simulated Okta both lean on it, so it leans on nobody",
		never: world, except: []string{"net/url"},
	},
	"templates":    {why: "pages get one typed value each and know nobody's types"},
	"internal/web": {why: "the adapter under every handler knows none of them"},
	"agentapi":     {why: "the wire format, which agent and server share and nothing else", never: world},
	"agent/collect": {
		why:     "what a device finds out about itself; who is told, and how, is not its business",
		imports: []string{"agentapi"},
	},
	"agent/browser": {
		why:     "the user's browsers on this machine: it is given a certificate and asks no server",
		imports: []string{"certs"},
		never:   []string{"net", "net/http", "log"}, except: []string{"net/url"},
	},
	"agent/tpmkey": {
		why:   "a key in a TPM; what it is for, and who is told, is not its business",
		never: []string{"net", "log"},
		tests: []string{"agent/tpmkey/swtpmtest"},
	},
	"agent/tpmkey/swtpmtest": {why: "runs a TPM in software, for the tests of both sides"},
	"agent/service": {
		why:   "has the system run a program, and knows nothing of what that does",
		never: []string{"net", "log", "crypto"},
	},
	"certs": {why: "keys, chains and TLS; whom a certificate belongs to is the inventory's"},
	"certs/revocation": {
		why:     "asks the authorities of others over HTTP and from files, which certs itself must not",
		imports: []string{"certs"},
	},
	"store": {
		why:     "keeps the domain's records and links the log's; what they mean is posture's",
		imports: []string{"posture", "events/trail"},
		tests:   []string{"store/bolt", "store/storetest"},
	},
	"store/bolt": {
		why:     "one engine behind the key-value seam: it knows no record",
		imports: []string{"store"},
		tests:   []string{"store/storetest", "posture"},
	},
	"store/storetest": {
		why:     "the suite that every engine passes; it names no engine",
		imports: []string{"store", "posture", "events/trail"},
	},
	"idp/saml": {
		why:     "bytes, keys and times in, bytes out: no HTTP server, no store, no relying party's HTTP",
		imports: []string{"contract", "posture"},
		never:   []string{"net/http", "os", "log"},
	},
	"idp/oidc": {
		why:     "values, keys and times in, values out: no HTTP server, no store, no relying party's HTTP",
		imports: []string{"contract", "posture"},
		never:   []string{"net/http", "os", "log"},
	},
	"events/trail": {
		why:     "the log's chain: bytes and keys, so that anybody can verify an export",
		imports: []string{"posture"},
	},
	"events/webhook": {
		why:     "delivers events to receivers elsewhere; what waits is behind its own small interface",
		imports: []string{"posture"},
	},
	"events/ocsf": {
		why:     "what an event is called in a SIEM follows from the event alone",
		imports: []string{"posture"},
		never:   world, except: []string{"net/url", "net/netip"},
		tests: []string{"events/ocsf/ocsftest"},
	},
	"events/ocsf/ocsftest": {
		why: "judges events by the schema's files alone: what it shared with those who make them, it could not judge",
	},
	"idp/eat": {
		why:     "attestation results: claims and a key in, a token out",
		imports: []string{"posture"},
		never:   []string{"net/http", "os", "log"},
	},
	"idp": {
		why:     "one sign-in; the inventory, the record and the keys come in through its own small interfaces",
		imports: []string{"idp/saml", "idp/oidc", "idp/eat", "agentapi", "posture", "contract", "certs", "templates", "internal/web"},
		tests:   []string{"conform", "store", "store/bolt"},
	},
	"devices/scep": {
		why:     "one protocol of enrolment: messages in and out; who gets a certificate is decided in devices",
		imports: []string{"agentapi", "certs", "devices", "internal/web", "posture"},
		tests:   []string{"store", "store/bolt"},
	},
	"devices/attestation": {
		why:     "what the formats of attestation share, so that each is a package of its own",
		imports: []string{"posture"},
		never:   world,
	},
	"devices/attestation/tpm": {
		why:     "evidence of TPMs as bytes, keys and times: no TPM, no HTTP, no store",
		imports: []string{"devices/attestation", "posture"},
		tests:   []string{"agent/tpmkey", "agent/tpmkey/swtpmtest"},
		never:   world,
	},
	"devices": {
		why:     "imports, enrolment, reports and certificates of devices, over its own small interfaces",
		imports: []string{"posture", "agentapi", "certs", "internal/web", "devices/attestation", "devices/attestation/tpm"},
		tests:   []string{"store", "store/bolt", "agent/tpmkey", "agent/tpmkey/swtpmtest"},
	},
	"devices/attestation/apple": {
		why:     "verifies evidence: bytes, a nonce, roots and a time in; whose device that is, the inventory says",
		imports: []string{"posture", "devices/attestation"},
		never:   world,
	},
	"devices/attestation/android": {
		why:     "bytes, a nonce, roots and a time in, a verdict out; where a status list comes from is up to others",
		imports: []string{"posture", "devices/attestation"},
		never:   world,
	},
	"devices/acme": {
		why:     "RFC 8555 over HTTP: who is certified is decided by devices, what is proven by the verifiers that it is given",
		imports: []string{"posture", "devices", "devices/attestation", "devices/attestation/tpm", "certs", "internal/web"},
		tests:   []string{"store", "store/bolt", "devices/attestation/apple", "agent/tpmkey", "agent/tpmkey/swtpmtest"},
	},
	"admin": {
		why:     "administration over HTTP; it reads what a relying party registers with the same code as the sign-in",
		imports: []string{"posture", "devices", "agentapi", "certs", "idp/saml", "idp/oidc", "internal/web", "events/trail", "events/webhook"},
		tests:   []string{"store", "store/bolt"},
	},
	"agent": {
		why:     "the device side of agentapi; browsers and services are handed in",
		imports: []string{"agentapi", "agent/collect", "agent/tpmkey"},
		tests:   []string{"agent/tpmkey/swtpmtest"},
	},
	"conform": {
		why:     "plays Okta against any provider: what it shared with idp, it could not judge",
		imports: []string{"contract", "internal/web"},
	},
	"cmd/gatepost-agent": {
		why:     "the agent's only place that wires; it shares nothing with the server but the wire format",
		imports: []string{"agent", "agent/collect", "agent/browser", "agent/service", "agentapi"},
	},
	"cmd/gatepost": {
		why: "the only place that wires, so the only one that may know an engine",
		imports: []string{"admin", "agentapi", "certs", "conform", "contract", "devices", "devices/scep", "devices/acme", "devices/attestation/android", "devices/attestation/apple", "devices/attestation/tpm", "idp", "idp/saml", "idp/oidc",
			"events/ocsf", "events/trail", "events/webhook", "internal/web", "posture", "posture/rules", "store", "store/bolt", "templates", "certs/revocation"},
		tests: []string{"events/ocsf/ocsftest", "agent/tpmkey", "agent/tpmkey/swtpmtest"},
	},
}

// dependency says who may import a module of somebody else.
type dependency struct {
	why   string
	by    []string // packages of this module
	tests bool     // any test may
}

// dependencies has a line for each module that is imported directly.
var dependencies = map[string]dependency{
	"go.etcd.io/bbolt":                    {why: "an engine stays behind the key-value seam", by: []string{"store/bolt"}},
	"github.com/crewjam/saml":             {why: "a second opinion; of its own provider nothing is used", by: []string{"conform", "idp/saml"}, tests: true},
	"cel.dev/cel-go":                      {why: "CEL: type-checked expressions of bounded cost, which administrators know from other products", by: []string{"posture/rules"}},
	"github.com/beevik/etree":             {why: "a DOM under signature verification; answers are written without one", by: []string{"conform", "idp/saml"}, tests: true},
	"github.com/russellhaering/goxmldsig": {why: "the canonicaliser, and a second opinion on signatures", by: []string{"conform", "idp/saml"}, tests: true},
	"github.com/go-jose/go-jose/v4":       {why: "JWS and JWK; a token is written without it and read by it", by: []string{"idp/oidc", "conform", "agentapi", "devices/acme"}, tests: true},
	"github.com/coreos/go-oidc/v3":        {why: "a relying party that is not ours: the simulated Okta", by: []string{"conform"}, tests: true},
	"golang.org/x/oauth2":                 {why: "goes with go-oidc", by: []string{"conform"}, tests: true},
	"go.yaml.in/yaml/v3":                  {why: "the configuration file is the command's", by: []string{"cmd/gatepost"}},
	"github.com/alecthomas/kong":          {why: "the command line is the command's", by: []string{"cmd/gatepost", "cmd/gatepost-agent"}},
	"software.sslmate.com/src/go-pkcs12":  {why: "certificate files are certs'", by: []string{"certs"}, tests: true},
	"github.com/getkin/kin-openapi":       {why: "a second opinion on the OpenAPI document and on answers by it", tests: true},
	"github.com/google/go-tpm":            {why: "the structures of TPM 2.0, and its commands; go-attestation, on top of it, is still on its former API and leaves the nonce unchecked", by: []string{"devices/attestation/tpm", "agent/tpmkey"}, tests: true},
	"github.com/fxamacker/cbor/v2":        {why: "attestation statements are CBOR; the reader with limits, which WebAuthn's libraries use", by: []string{"devices/attestation", "devices/attestation/tpm", "devices/acme"}, tests: true},
	"github.com/google/jsonschema-go":     {why: "JSON schemas of the API's types, by reflection: written by hand they would soon say something else", by: []string{"admin"}},
	"github.com/go-json-experiment/json":  {why: "refuses duplicate and unknown keys, which encoding/json does not", by: []string{"store", "devices", "devices/acme", "devices/attestation/android", "admin", "internal/web", "idp/oidc", "agentapi"}, tests: true},
	"github.com/smallstep/scep":           {why: "the messages of SCEP, kept up and without a server of its own", by: []string{"devices/scep"}, tests: true},
	"github.com/smallstep/pkcs7":          {why: "goes with it: signed and enveloped data, which the standard library lacks", by: []string{"devices/scep"}, tests: true},
	"github.com/prometheus/client_golang": {why: "metrics are the operator's side of the server", by: []string{"cmd/gatepost"}},
	"go.opentelemetry.io/otel":            {why: "traces leave by the command; below it a step is a func", by: []string{"cmd/gatepost"}},
	"go.opentelemetry.io/proto/otlp":      {why: "a collector that is not ours: what it decodes", tests: true},
	"google.golang.org/protobuf":          {why: "goes with OTLP", tests: true},
	"golang.org/x/crypto":                 {why: "OCSP, which the standard library lacks; nothing else of it but, in tests, its ACME client", by: []string{"certs/revocation"}, tests: true},
	"golang.org/x/sys":                    {why: "the registry, sessions and services of Windows, which the standard library cannot reach", by: []string{"agent/collect", "agent/browser", "agent/service"}, tests: true},
	"github.com/yusufpapurcu/wmi":         {why: "WMI is COM; nobody should call that by hand", by: []string{"agent/collect"}},
	"golang.org/x/net":                    {why: "the demo's browser without a window reads pages as one does", by: []string{"cmd/gatepost"}, tests: true},
	"github.com/gofrs/flock":              {why: "one process of an agent at a time, on every system", by: []string{"agent"}},
	"golang.org/x/time":                   {why: "the token bucket of one caller", by: []string{"internal/web"}},
	"golang.org/x/text":                   {why: "which of a page's languages suits a browser: the rules of language tags are long; nothing else of it", by: []string{"templates"}},
	"golang.org/x/term":                   {why: "whether a person reads the progress", by: []string{"cmd/gatepost"}},
	"github.com/rogpeppe/go-internal":     {why: "scripts that run the real binary", tests: true},
	"github.com/chromedp/chromedp":        {why: "a real browser", tests: true},
	"github.com/chromedp/cdproto":         {why: "a real browser", tests: true},
}

// source is one parsed file.
type source struct {
	path string // slash-separated, from the root
	pkg  string // its directory, which is its package's path within the module
	test bool
	fset *token.FileSet
	file *ast.File
}

// at says where a node is.
func (s *source) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// tree parses every Go file of the module, once.
var tree = sync.OnceValues(func() ([]*source, error) {
	var sources []*source
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		slashed := filepath.ToSlash(name)
		sources = append(sources, &source{
			path: slashed, pkg: path.Dir(slashed), test: strings.HasSuffix(name, "_test.go"), fset: fset, file: f,
		})
		return err
	})
	return sources, err
})

// eachSource calls check for every file outside the root, which holds only
// these tests.
func eachSource(t *testing.T, check func(t *testing.T, s *source)) {
	t.Helper()
	sources, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 20 {
		t.Fatalf("found %d files: these tests look in the wrong place", len(sources))
	}
	for _, s := range sources {
		if s.pkg != "." {
			check(t, s)
		}
	}
}

func TestImports(t *testing.T) {
	t.Parallel()
	eachSource(t, func(t *testing.T, s *source) {
		r, known := packages[s.pkg]
		if !known {
			t.Errorf("%s: package %q has no line in arch_test.go: add it, with the reason", s.path, s.pkg)
			return
		}
		for _, spec := range s.file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if complaint := r.forbids(s, imported); complaint != "" {
				t.Errorf("%s: %s must not import %s: %s", s.at(spec), s.pkg, imported, complaint)
			}
		}
	})
}

// forbids says why the file may not import a package, or nothing when it may.
func (r *rule) forbids(s *source, imported string) string {
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		if ours == s.pkg || slices.Contains(r.imports, ours) || s.test && slices.Contains(r.tests, ours) {
			return ""
		}
		return r.why
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		if s.test || within(imported, r.except) || !within(imported, r.never) {
			return ""
		}
		return r.why
	}
	for name, d := range dependencies {
		if within(imported, []string{name}) {
			if slices.Contains(d.by, s.pkg) || s.test && d.tests {
				return ""
			}
			return d.why
		}
	}
	return "the module has no line in arch_test.go: is it needed? then add it, with the reason"
}

// within tells whether a path is one of those or below one.
func within(p string, those []string) bool {
	return slices.ContainsFunc(those, func(t string) bool { return p == t || strings.HasPrefix(p, t+"/") })
}

// TestTableIsTrue refuses lines about what is no longer there.
func TestTableIsTrue(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	eachSource(t, func(_ *testing.T, s *source) {
		seen[s.pkg] = true
		for _, spec := range s.file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			seen[imported] = true
		}
	})
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		if !seen[pkg] {
			t.Errorf("arch_test.go has a line for package %q, which does not exist: remove it", pkg)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(dependencies)) {
		used := func(p string) bool { return within(p, []string{name}) }
		if !slices.ContainsFunc(slices.Collect(maps.Keys(seen)), used) {
			t.Errorf("arch_test.go has a line for module %q, which nobody imports: remove it", name)
		}
	}
}

// TestRulesBite shows that the table refuses what it is there to refuse.
func TestRulesBite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pkg, imported string
		test, allowed bool
	}{
		{pkg: "cmd/gatepost", imported: module + "/store/bolt", allowed: true},
		{pkg: "admin", imported: module + "/store/bolt"},
		{pkg: "conform", imported: module + "/idp"},
		{pkg: "conform", imported: module + "/idp/saml", test: true},
		{pkg: "posture", imported: module + "/store"},
		{pkg: "posture", imported: "os"},
		{pkg: "posture", imported: "net/http"},
		{pkg: "posture", imported: "os", test: true, allowed: true},
		{pkg: "contract", imported: "net/url", allowed: true},
		{pkg: "contract", imported: "net/http"},
		{pkg: "store", imported: "go.etcd.io/bbolt"},
		{pkg: "store/bolt", imported: "go.etcd.io/bbolt/errors", allowed: true},
		{pkg: "idp", imported: "github.com/crewjam/saml"},
		{pkg: "idp", imported: "github.com/crewjam/saml", test: true, allowed: true},
		{pkg: "idp", imported: "example.org/new"},
	} {
		r := packages[c.pkg]
		s := &source{pkg: c.pkg, test: c.test}
		if got := r.forbids(s, c.imported) == ""; got != c.allowed {
			t.Errorf("%s imports %s (test: %t): allowed = %t, want %t", c.pkg, c.imported, c.test, got, c.allowed)
		}
	}
}
