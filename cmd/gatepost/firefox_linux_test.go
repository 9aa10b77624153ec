package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// firefox is a Firefox that is driven by Marionette, its own remote protocol: each
// message is its length, a colon, and a JSON array.
type firefox struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	id   int
}

// startFirefox starts a Firefox with an empty profile but for these preferences,
// written as JavaScript. It takes any TLS certificate.
func startFirefox(t *testing.T, preferences map[string]string) *firefox {
	t.Helper()
	profile, err := os.MkdirTemp("", "firefox-profile-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	user := `user_pref("marionette.port", 0); user_pref("browser.shell.checkDefaultBrowser", false); user_pref("datareporting.policy.dataSubmissionEnabled", false);` + "\n"
	for name, value := range preferences {
		user += fmt.Sprintf("user_pref(%q, %s);\n", name, value)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(user), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "firefox-esr", "--headless", "--no-remote", "--marionette", "--profile", profile)
	cmd.Env = append(os.Environ(), "HOME="+profile, "TMPDIR="+profile, "MOZ_CRASHREPORTER_DISABLE=1")
	browser, err := startBackground(cmd, filepath.Join(t.TempDir(), "firefox"))
	if err != nil {
		t.Fatal("this test needs Firefox (apt-get install firefox-esr): ", err)
	}
	t.Cleanup(browser.kill)
	f := &firefox{t: t}
	if err := browser.until("Marionette", func() bool {
		port, err := os.ReadFile(filepath.Join(profile, "MarionetteActivePort"))
		if err != nil {
			return false
		}
		f.conn, err = net.Dial("tcp", "127.0.0.1:"+strings.TrimSpace(string(port)))
		return err == nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.conn.Close() })
	f.in = bufio.NewReader(f.conn)
	f.read() // what it is
	f.do("WebDriver:NewSession", map[string]any{"acceptInsecureCerts": true})
	return f
}

func (f *firefox) read() []byte {
	f.t.Helper()
	f.conn.SetReadDeadline(time.Now().Add(time.Minute))
	length, err := f.in.ReadString(':')
	if err != nil {
		f.t.Fatal("Firefox: ", err)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil {
		f.t.Fatal("Firefox: ", err)
	}
	message := make([]byte, n)
	if _, err := io.ReadFull(f.in, message); err != nil {
		f.t.Fatal("Firefox: ", err)
	}
	return message
}

// try makes one command and gives its value, or what is wrong.
func (f *firefox) try(command string, parameters map[string]any) (value json.RawMessage, err error) {
	f.t.Helper()
	f.id++
	message, err := json.Marshal([]any{0, f.id, command, parameters})
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(f.conn, "%d:%s", len(message), message); err != nil {
		f.t.Fatal("Firefox: ", err)
	}
	var answer [4]json.RawMessage
	if err := json.Unmarshal(f.read(), &answer); err != nil {
		f.t.Fatal("Firefox: ", err)
	}
	if string(answer[2]) != "null" {
		return nil, fmt.Errorf("%s: %s", command, answer[2])
	}
	var wrapped struct{ Value json.RawMessage }
	if json.Unmarshal(answer[3], &wrapped) == nil && wrapped.Value != nil {
		return wrapped.Value, nil
	}
	return answer[3], nil
}

func (f *firefox) do(command string, parameters map[string]any) json.RawMessage {
	f.t.Helper()
	value, err := f.try(command, parameters)
	if err != nil {
		f.t.Fatal("Firefox: ", err)
	}
	return value
}

func (f *firefox) navigate(url string) {
	f.t.Helper()
	f.do("WebDriver:Navigate", map[string]any{"url": url})
}

// visible waits until the element is there to be seen, and gives its reference.
func (f *firefox) visible(selector string) string {
	f.t.Helper()
	for range 300 {
		if found, err := f.try("WebDriver:FindElement", map[string]any{"using": "css selector", "value": selector}); err == nil {
			var element map[string]string
			if err := json.Unmarshal(found, &element); err != nil {
				f.t.Fatal(err)
			}
			for _, id := range element {
				if shown, err := f.try("WebDriver:IsElementDisplayed", map[string]any{"id": id}); err == nil && string(shown) == "true" {
					return id
				}
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	source, _ := f.try("WebDriver:GetPageSource", map[string]any{})
	f.t.Fatalf("Firefox: %s is not to be seen in %s", selector, source)
	return ""
}

func (f *firefox) click(selector string) {
	f.t.Helper()
	f.do("WebDriver:ElementClick", map[string]any{"id": f.visible(selector)})
}

func (f *firefox) text(selector string) string {
	f.t.Helper()
	var text string
	if err := json.Unmarshal(f.do("WebDriver:GetElementText", map[string]any{"id": f.visible(selector)}), &text); err != nil {
		f.t.Fatal(err)
	}
	return strings.TrimSpace(text)
}

// picture keeps a picture, once the element is there, when the test was started
// with -artifacts.
func (f *firefox) picture(name, selector string) {
	f.t.Helper()
	f.visible(selector)
	var encoded string
	if err := json.Unmarshal(f.do("WebDriver:TakeScreenshot", map[string]any{"full": true}), &encoded); err != nil {
		f.t.Fatal(err)
	}
	png, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.t.ArtifactDir(), name+".png"), png, 0o600); err != nil {
		f.t.Error(err)
	}
}
