package templates

// DemoStart is the start page of the demo.
type DemoStart struct {
	Cases     []DemoCase
	Okta      string // address of the simulated Okta
	DeviceURL string // address of the host that asks for a certificate
	Password  string // of the PKCS#12 files
}

// DemoCase is one kind of sign-in.
type DemoCase struct {
	ID       string // in the address of its replay
	Title    string
	Who      string // the device in words
	Device   string // its ID; empty when there is none
	Expected string // what should come of it
}

// DemoReplay is the account of one sign-in.
type DemoReplay struct {
	ID, Title string // of the case
	Expected  string
	Wrong     []string // what was not as expected
	Chapters  []DemoChapter
	Next      DemoCase
}

// DemoChapter is a part of an account.
type DemoChapter struct {
	Title   string
	InWords string // what the message says; may be empty
	Rows    []DemoRow
	Message []DemoLine // may be empty
}

// DemoRow is a value under a label.
type DemoRow struct{ Label, Value string }

// DemoLine is a line of a message; a marked one is what the sign-in is about.
type DemoLine struct {
	Text   string
	Marked bool
}

// DemoError says why the demo does not show a page.
type DemoError struct{ Text string }

func (DemoStart) file() string  { return "demo_start.html" }
func (DemoReplay) file() string { return "demo_replay.html" }
func (DemoError) file() string  { return "demo_error.html" }

func (p DemoStart) render(nonce string) ([]byte, error)  { return execute(p, nonce) }
func (p DemoReplay) render(nonce string) ([]byte, error) { return execute(p, nonce) }
func (p DemoError) render(nonce string) ([]byte, error)  { return execute(p, nonce) }
