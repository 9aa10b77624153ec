package main

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// decoder fills a Config from YAML. It knows only the struct: the tag yaml names
// the key, and the tag later marks a key that only later versions know, with
// what to do instead. Unlike the YAML library's own decoder it goes on after a
// fault, takes scalars by their text ("no" is a name, not false) and notes the
// line of every key.
type decoder struct {
	*findings
	getenv func(string) (string, bool)
}

// value decodes n, the value of the key at path, into to.
func (d *decoder) value(path string, n *yaml.Node, to reflect.Value) {
	empty := n.Kind == yaml.ScalarNode && n.Tag == "!!null"
	switch {
	case n.Kind == yaml.AliasNode:
		// A fault already; see refuseReferences.
		d.refuse[path] = true
	case to.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		d.fields(path, n, to)
	case to.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		to.Set(reflect.MakeSlice(to.Type(), len(n.Content), len(n.Content)))
		for i, item := range n.Content {
			itemPath := fmt.Sprintf("%s[%d]", path, i)
			d.lines[itemPath] = item.Line
			d.value(itemPath, item, to.Index(i))
		}
	case to.Kind() == reflect.Map && n.Kind == yaml.MappingNode:
		to.Set(reflect.MakeMap(to.Type()))
		d.keys(path, n, func(path, key string, n *yaml.Node) {
			item := reflect.New(to.Type().Elem()).Elem()
			d.value(path, n, item)
			to.SetMapIndex(reflect.ValueOf(key), item)
		})
	case to.Kind() == reflect.Struct, to.Kind() == reflect.Map:
		if !empty {
			d.add(path, "holds no keys", `write keys below it, each as "key: value"`)
		}
	case to.Kind() == reflect.Slice:
		if !empty {
			d.add(path, "is no list", `write a list, each item beginning with "- "`)
		}
	case n.Kind != yaml.ScalarNode:
		d.add(path, "holds more than one value", "write one value")
	case to.Type() == reflect.TypeFor[prose]() && !empty:
		d.prose(path, n, to)
	case empty:
		d.add(path, "has no value", "write one, or delete the key for its default")
	default:
		d.scalar(path, n.Value, to)
	}
}

// prose is what may have several lines. It is taken as it is written: nothing of
// the environment is put in.
type prose string

// prose decodes a prose.
func (d *decoder) prose(path string, n *yaml.Node, to reflect.Value) {
	if n.Value == "" {
		d.add(path, "is empty", "write a value, or delete the key for its default")
		return
	}
	if n.Style&yaml.LiteralStyle != 0 { // the lines of any other are not those of the file
		d.texts[path] = n.Line + 1
	}
	to.SetString(n.Value)
}

// keys calls each for every key of a mapping, once.
func (d *decoder) keys(path string, n *yaml.Node, each func(path, key string, value *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			d.addAt(key.Line, path, "has a key that is not a word", "write one word before the colon")
			continue
		}
		keyPath := key.Value
		if !nameForm.MatchString(keyPath) {
			keyPath = quote(keyPath)
		}
		if path != "" {
			keyPath = path + "." + keyPath
		}
		if line, again := first[key.Value]; again {
			d.addAt(key.Line, keyPath, fmt.Sprintf("is written twice, first on line %d", line), "delete one")
			continue
		}
		first[key.Value] = key.Line
		d.lines[keyPath] = key.Line
		each(keyPath, key.Value, n.Content[i+1])
	}
}

// fields decodes a mapping into a struct.
func (d *decoder) fields(path string, n *yaml.Node, to reflect.Value) {
	index := map[string]int{}
	later := map[string]string{}
	var known []string
	for i := range to.NumField() {
		tag := to.Type().Field(i).Tag
		name := tag.Get("yaml")
		if instead := tag.Get("later"); instead != "" {
			later[name] = instead
		} else if name != "" {
			index[name] = i
			known = append(known, name)
		}
	}
	d.keys(path, n, func(keyPath, key string, value *yaml.Node) {
		if i, ok := index[key]; ok {
			d.value(keyPath, value, to.Field(i))
			return
		}
		if instead, ok := later[key]; ok {
			d.add(keyPath, "is not in this version", instead)
			return
		}
		meant := nearest(key, known)
		if meant == "" {
			d.add(keyPath, "is not a known key", "write "+list(known))
			return
		}
		d.add(keyPath, "is not a known key", "write "+meant)
		if path != "" {
			meant = path + "." + meant
		}
		if !d.written(meant) {
			d.lines[meant] = d.lines[keyPath] // not missing, only misspelt
		}
	})
}

// scalar decodes one value by its text.
func (d *decoder) scalar(path, text string, to reflect.Value) {
	text, ok := d.expand(path, text)
	if !ok {
		return
	}
	switch to.Interface().(type) {
	case time.Duration:
		age, err := time.ParseDuration(text)
		if err != nil {
			d.add(path, quote(text)+" is not a duration", durationInstead(text))
			return
		}
		to.SetInt(int64(age))
	case Days:
		n, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
		if err != nil || !strings.HasSuffix(text, "d") {
			d.add(path, quote(text)+" is not a number of days", "write such as 90d")
			return
		}
		if n < 1 || n > maxDays {
			d.add(path, quote(text)+" is out of range", fmt.Sprintf("write 1d to %dd, or leave it out", maxDays))
			return
		}
		to.SetInt(int64(n))
	case int:
		n, err := strconv.Atoi(text)
		if err != nil {
			d.add(path, quote(text)+" is not a number", "write digits, such as 30")
			return
		}
		to.SetInt(int64(n))
	case float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			d.add(path, quote(text)+" is not a number", "write a number, such as 0.1")
			return
		}
		to.SetFloat(x)
	case bool:
		if text != "true" && text != "false" {
			d.add(path, quote(text)+" is not known", "write true or false")
			return
		}
		to.SetBool(text == "true")
	default:
		to.SetString(text)
	}
}

// reference is ${NAME}, a wrong ${, or an escaped one.
var reference = regexp.MustCompile(`\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{`)

// expand puts the environment into text. What it puts in is neither expanded
// again nor read as YAML.
func (d *decoder) expand(path, text string) (string, bool) {
	ok := true
	fault := func(problem, instead string) string {
		d.add(path, problem, instead)
		ok = false
		return ""
	}
	expanded := reference.ReplaceAllStringFunc(text, func(match string) string {
		switch {
		case match == "$${":
			return "${"
		case match == "${":
			return fault(quote(text)+" has a ${ that names no variable", "write ${NAME}, or $${ for a plain ${")
		}
		name := match[2 : len(match)-1]
		value, set := d.getenv(name)
		if !set {
			return fault(match+" is not set in the environment", "set "+name+", or write the value")
		}
		return value
	})
	switch {
	case !ok:
	case expanded == "" && text != "":
		fault(text+" is empty in the environment", "set it, or write the value")
	case expanded == "":
		fault("is empty", "write a value, or delete the key for its default")
	case strings.ContainsFunc(expanded, unicode.IsControl):
		// Not quoted: this is what a private key in place of its path looks like.
		fault("holds a line break or another control character", "write one line; of a secret, write the path of its file")
	}
	return expanded, ok
}

// durationInstead says how to write what looks like a duration.
func durationInstead(text string) string {
	var count int64
	var unit string
	if n, _ := fmt.Sscanf(text, "%d%s", &count, &unit); n == 2 && count > 0 && count < 10000 {
		switch strings.ToLower(unit) {
		case "d", "day", "days":
			return fmt.Sprintf("write hours: %dh", count*24)
		case "w", "week", "weeks":
			return fmt.Sprintf("write hours: %dh", count*24*7)
		}
	}
	return "write hours, minutes and seconds, such as 24h or 1h30m; 7 days are 168h"
}

// nearest is the name that a misspelt one means, empty if there is none.
func nearest(name string, names []string) string {
	if len(name) > 40 {
		return ""
	}
	plain := strings.NewReplacer("_", "", "-", "").Replace
	name = plain(strings.ToLower(name))
	best := slices.MinFunc(names, func(a, b string) int {
		return distance(name, plain(a)) - distance(name, plain(b))
	})
	if distance(name, plain(best)) > max(2, len(name)/3) {
		return ""
	}
	return best
}

// distance is how many letters must be put in, left out or changed to make b of
// a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
