package gatepost_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdHeading = regexp.MustCompile(`^#+ +(.*)$`)
	mdCode    = regexp.MustCompile("`[^`]*`")
)

// TestDocLinks follows every relative link of every page, and its anchor.
func TestDocLinks(t *testing.T) {
	t.Parallel()
	pages := markdown(t)
	if len(pages) < 5 {
		t.Fatalf("found %d pages: this test looks in the wrong place", len(pages))
	}
	for page, text := range pages {
		for _, line := range prose(text) {
			for _, m := range mdLink.FindAllStringSubmatch(mdCode.ReplaceAllString(line, ""), -1) {
				if !strings.Contains(m[1], "://") && !strings.HasPrefix(m[1], "mailto:") {
					checkLink(t, pages, page, m[1])
				}
			}
		}
	}
}

func checkLink(t *testing.T, pages map[string]string, page, link string) {
	t.Helper()
	name, anchor, _ := strings.Cut(link, "#")
	target := page
	if name != "" {
		target = filepath.Join(filepath.Dir(page), filepath.FromSlash(name))
		if _, err := os.Stat(target); err != nil {
			t.Errorf("%s: the link %q leads nowhere", page, link)
			return
		}
	}
	if anchor == "" {
		return
	}
	for _, line := range prose(pages[target]) {
		if m := mdHeading.FindStringSubmatch(line); m != nil && slug(m[1]) == anchor {
			return
		}
	}
	t.Errorf("%s: the link %q names no heading of %s", page, link, target)
}

// markdown gives every page's text, by its path.
func markdown(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".md":
			return nil
		}
		text, err := os.ReadFile(name)
		pages[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// prose gives the lines outside fenced code.
func prose(text string) (lines []string) {
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		} else if !fenced {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// slug is the anchor that GitHub gives a heading: lower case, spaces to
// hyphens, other punctuation dropped.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
}
