package browser

import (
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"strings"
)

// macBrowsers is where each relative of Chrome looks for its preferences.
func macBrowsers() []string {
	return []string{"com.google.Chrome", "com.microsoft.Edge", "org.chromium.Chromium", "com.brave.Browser"}
}

// profile is a configuration profile that has the browsers follow a rule. The
// same rule makes the same profile, names included, so that one pushed again
// replaces the one before.
func profile(value string) []byte {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>PayloadContent</key>
	<array>
`)
	for _, browser := range macBrowsers() {
		fmt.Fprintf(&b, `		<dict>
			<key>PayloadType</key><string>%[1]s</string>
			<key>PayloadVersion</key><integer>1</integer>
			<key>PayloadIdentifier</key><string>dev.gatepost.device.%[1]s</string>
			<key>PayloadUUID</key><string>%[2]s</string>
			<key>PayloadDisplayName</key><string>Gatepost device certificate</string>
			<key>%[3]s</key>
			<array>
				<string>%[4]s</string>
			</array>
		</dict>
`, browser, uuid(browser+value), policyName, escape(value))
	}
	fmt.Fprintf(&b, `	</array>
	<key>PayloadType</key><string>Configuration</string>
	<key>PayloadVersion</key><integer>1</integer>
	<key>PayloadIdentifier</key><string>dev.gatepost.device</string>
	<key>PayloadUUID</key><string>%s</string>
	<key>PayloadScope</key><string>System</string>
	<key>PayloadDisplayName</key><string>Gatepost device certificate in browsers</string>
</dict>
</plist>
`, uuid(value))
	return []byte(b.String())
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

// uuid is a UUID of a text (RFC 9562 version 8).
func uuid(text string) string {
	sum := sha256.Sum256([]byte(text))
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]))
}
