package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func readDocs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// docKeys are the keys below a type as the documentation names them.
func docKeys(path string, typ reflect.Type) []string {
	switch typ.Kind() {
	case reflect.Slice:
		return docKeys(path+"[]", typ.Elem())
	case reflect.Map:
		return docKeys(path+".NAME", typ.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	var keys []string
	for i := range typ.NumField() {
		field := typ.Field(i)
		name := field.Tag.Get("yaml")
		if name == "" || field.Tag.Get("later") != "" {
			continue
		}
		if path != "" {
			name = path + "." + name
		}
		keys = append(keys, name)
		keys = append(keys, docKeys(name, field.Type)...)
	}
	return keys
}

// docs/configuration.md has a heading for every key of Config, and no other.
func TestDocsNameEveryKey(t *testing.T) {
	t.Parallel()
	text := readDocs(t)
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^### (.*)$").FindAllStringSubmatch(text, -1) {
		documented = append(documented, strings.Trim(m[1], "`"))
	}
	keys := docKeys("", reflect.TypeFor[Config]())
	if len(keys) < 30 {
		t.Fatalf("Config has only the keys %v", keys)
	}
	for _, key := range keys {
		if !slices.Contains(documented, key) {
			t.Errorf("docs/configuration.md lacks %s", key)
		}
	}
	for i, key := range documented {
		if !slices.Contains(keys, key) || slices.Contains(documented[:i], key) {
			t.Errorf("docs/configuration.md has %s, which is no key or is there twice", key)
		}
	}
}

// The example loads, and shows every key; of relying parties one of each kind
// has it.
func TestDocsExampleLoads(t *testing.T) {
	t.Parallel()
	_, rest, ok := strings.Cut(readDocs(t), "```yaml\n")
	example, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("there is no example")
	}
	file := filepath.Join(t.TempDir(), "gatepost.yaml")
	write(t, file, example)
	c, faults := LoadConfig(file, environment)
	if len(faults) > 0 {
		t.Fatal(lines(faults))
	}
	for _, key := range docKeys("", reflect.TypeFor[Config]()) {
		first := strings.NewReplacer("[]", "[0]", "NAME", "default").Replace(key)
		second := strings.Replace(first, "relying_parties[0]", "relying_parties[1]", 1)
		if !c.written(first) && !c.written(second) {
			t.Errorf("the example lacks %s", key)
		}
	}
}

// Every fault that the documentation shows is one that a vector gives.
func TestDocsFaults(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/config/*.want")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	shown := regexp.MustCompile(`(?m)^gatepost\.yaml:\d+: .*$`).FindAllString(readDocs(t), -1)
	if len(shown) < 20 {
		t.Errorf("only %d faults are shown", len(shown))
	}
	for _, line := range shown {
		if !strings.Contains(all.String(), line+"\n") {
			t.Errorf("no vector gives %s", line)
		}
	}
}
