package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// tagOf is the entity tag of what is answered as v (RFC 9110 section 8.8.3).
func tagOf(v any) (string, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode answer: %w", err)
	}
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:16]) + `"`, nil
}

// tagIn tells whether If-None-Match (weak) or If-Match names the tag (RFC 9110
// section 8.8.3.2). Ours hold no comma.
func tagIn(headers []string, tag string, weak bool) bool {
	for _, header := range headers {
		for given := range strings.SplitSeq(header, ",") {
			given = strings.TrimSpace(given)
			if weak {
				given = strings.TrimPrefix(given, "W/")
			}
			if given == tag || given == "*" {
				return true
			}
		}
	}
	return false
}
