package main

import (
	"fmt"
	"io"
	"path/filepath"
)

// demoReport is what the demo prints.
type demoReport struct {
	SignIns []*account  `json:"sign_ins"`
	Right   int         `json:"right"`
	Wrong   int         `json:"wrong"`
	Try     *invitation `json:"try,omitempty"` // not with --once
}

// invitation is what people need to go on themselves.
type invitation struct {
	StartPage    string   `json:"start_page"`
	Okta         string   `json:"okta"`
	DeviceURL    string   `json:"device_url"`
	Certificates []string `json:"certificates"` // PKCS#12 files
	Password     string   `json:"password"`     // of the files
	Authorities  []string `json:"authorities"`  // PEM files: of the TLS certificates
}

func (r *demoReport) add(a *account) {
	r.SignIns = append(r.SignIns, a)
	if a.Right {
		r.Right++
	} else {
		r.Wrong++
	}
}

// fault is the error of wrong outcomes.
func (r *demoReport) fault() error {
	if r.Wrong == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d sign-ins had a wrong outcome", r.Wrong, len(r.SignIns))
}

func (d *demo) invitation() *invitation {
	i := &invitation{
		StartPage: d.startPage() + "/", Okta: d.oktaURL() + "/", DeviceURL: d.deviceURL() + "/", Password: d.password,
		Authorities: []string{filepath.Join(d.dir, "data", "trial-ca.crt"), filepath.Join(d.dir, "okta-ca.crt")},
	}
	for _, device := range d.devices {
		i.Certificates = append(i.Certificates, device.p12File)
	}
	return i
}

func printSummary(w io.Writer, r *demoReport) {
	if r.Wrong == 0 {
		fmt.Fprintf(w, "%d sign-ins, %d right outcomes\n", len(r.SignIns), r.Right)
	} else {
		fmt.Fprintf(w, "%d sign-ins, %d right outcomes, %d WRONG\n", len(r.SignIns), r.Right, r.Wrong)
	}
	if r.Try == nil {
		return
	}
	fmt.Fprintf(w, `
Look closer:   %s
  The start page: replay each sign-in with one click, and see request, decision and answer.

Or take part with your own browser:
  1. Import a device's certificate; the password of all three files is %s
`, r.Try.StartPage, r.Try.Password)
	for _, file := range r.Try.Certificates {
		fmt.Fprintf(w, "       %s\n", file)
	}
	fmt.Fprintf(w, `     Chrome:  Settings > Privacy and security > Security > Manage certificates > Your certificates > Import
     Firefox: Settings > Privacy & Security > View Certificates > Your Certificates > Import
     macOS (Safari, Chrome): double-click the file; Keychain Access adds it to the login keychain
  2. Open the simulated Okta:  %s
     Your browser warns of it, and then of Gatepost (%s): it is right, their TLS certificates were made
     a moment ago by authorities that nobody knows. Go on past both warnings, for this demo only.
  3. To come as another device, or as none, close all windows of the browser, or use a private one:
     browsers remember which certificate was chosen. Remove the certificates afterwards.

Ctrl-C ends the demo and removes everything it made.
`, r.Try.Okta, r.Try.DeviceURL)
}

// printAccount writes the account for people.
func printAccount(w io.Writer, number int, a *account) {
	fmt.Fprintf(w, "%d. %s\n", number, a.Title)
	for _, c := range a.chapters() {
		title := c.Title
		for _, row := range c.Rows {
			fmt.Fprintf(w, "   %-21s  %-11s  %s\n", title, row[0], printable(row[1]))
			title = ""
		}
	}
	if a.Right {
		fmt.Fprint(w, "   OK\n\n")
		return
	}
	for _, wrong := range a.Wrong {
		fmt.Fprintf(w, "   WRONG  %s\n", printable(wrong))
	}
	fmt.Fprintln(w)
}
