package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// pendingUpdates reads what softwareupdated found when it looked last. To look
// again takes minutes and the network. The keys are not documented; one that is
// not there makes the number unknown.
func (m *macOS) pendingUpdates(ctx context.Context) (int, error) {
	get := func(key, form string) (string, error) {
		out, _, err := m.run(ctx, "/usr/bin/plutil", "-extract", key, form, "-o", "-",
			"/Library/Preferences/com.apple.SoftwareUpdate.plist")
		return strings.TrimSpace(out), err
	}
	last, err := get("LastSuccessfulDate", "raw")
	if err != nil {
		return 0, err
	}
	looked, err := time.Parse(time.RFC3339, last)
	if err != nil {
		return 0, fmt.Errorf("the last look for updates was at %q", clean(last))
	}
	if err := fresh(m.now(), looked); err != nil {
		return 0, err
	}
	list, err := get("RecommendedUpdates", "json")
	if err != nil {
		return 0, err
	}
	return countApple(list)
}

// countApple counts the updates that bring security fixes: of the system within
// its major version, which are named MSU_UPDATE_..._minor and ..._rsr, of Safari,
// and of the data of XProtect and the like. Apple marks none as one of security.
func countApple(text string) (int, error) {
	var list []struct {
		Identifier string `json:"Identifier"`
		Name       string `json:"Display Name"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return 0, fmt.Errorf("the recommended updates: %w", err)
	}
	if list == nil {
		return 0, fmt.Errorf("the recommended updates are %q", clean(text))
	}
	n := 0
	for _, update := range list {
		system := strings.HasPrefix(update.Identifier, "MSU_UPDATE_")
		if system && strings.HasSuffix(update.Identifier, "_major") {
			continue
		}
		if system || slices.ContainsFunc([]string{"Safari", "Security Update", "Rapid Security Response", "XProtect", "Gatekeeper", "MRT"},
			func(prefix string) bool { return strings.HasPrefix(update.Name, prefix) }) {
			n++
		}
	}
	return n, nil
}
