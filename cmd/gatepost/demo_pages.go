package main

import (
	"fmt"
	"net/http"
	"strings"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/templates"
)

// pages serves the start page:
//
//	GET  /                    the sign-ins, and how to take part
//	POST /replay/{scenario}   runs one again and shows it
//	GET  /devices/{file}      ID.p12: a device's key and certificates
//
// Other sites that are open in the same browser can neither have a sign-in
// replayed nor, by a name of theirs that leads to 127.0.0.1 (DNS rebinding), read
// a page.
func (d *demo) pages() http.Handler {
	options := &web.Options{Log: d.log, Now: d.now, WriteError: writeDemoError}
	mux := http.NewServeMux()
	for route, h := range map[string]web.HandlerFunc{
		"GET /{$}":                d.showStart,
		"POST /replay/{scenario}": d.replay,
		"GET /devices/{file}":     d.download,
		"/": func(http.ResponseWriter, *http.Request) error {
			return &web.Error{Status: http.StatusNotFound, Reason: "not_found", Public: "There is no such page."}
		},
	} {
		mux.Handle(route, web.Handle(route, h, options))
	}
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(web.Handle("cross-origin", func(http.ResponseWriter, *http.Request) error {
		return &web.Error{Status: http.StatusForbidden, Reason: "cross_origin", Public: "Another site sent this request; use the start page."}
	}, options))
	inner := sameOrigin.Handler(mux)
	misdirected := web.Handle("foreign host", func(http.ResponseWriter, *http.Request) error {
		return &web.Error{Status: http.StatusMisdirectedRequest, Reason: "foreign_host", Public: "The start page is at " + d.startPage() + "/ only."}
	}, options)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if port := d.listeners.port(2); r.Host != "127.0.0.1:"+port && r.Host != "localhost:"+port {
			misdirected.ServeHTTP(w, r)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

func writeDemoError(w http.ResponseWriter, _ *http.Request, e *web.Error, _ string) {
	if err := templates.Write(w, e.Status, templates.DemoError{Text: e.Public}); err != nil {
		http.Error(w, e.Public, e.Status)
	}
}

func (d *demo) showStart(w http.ResponseWriter, _ *http.Request) error {
	p := templates.DemoStart{Okta: d.oktaURL() + "/", DeviceURL: d.deviceURL() + "/", Password: d.password}
	for i := range d.scenarios {
		p.Cases = append(p.Cases, d.demoCase(&d.scenarios[i]))
	}
	return templates.Write(w, http.StatusOK, p)
}

func (d *demo) demoCase(s *scenario) templates.DemoCase {
	c := templates.DemoCase{ID: s.ID, Title: s.Title, Who: "Any browser that cannot prove its device", Expected: expected(&s.Want, s.protocol())}
	if device := d.device(s.Device); device != nil {
		c.Who, c.Device = device.ID+", "+device.name()+", of "+device.Owner, device.ID
	}
	return c
}

// expected says in words what should come of a sign-in.
func expected(o *outcome, protocol string) string {
	switch {
	case o.Decision == posture.Refused && protocol == "oidc":
		return fmt.Sprintf("Okta should get access_denied, for the reason %s", o.Reason)
	case o.Decision == posture.Refused:
		return fmt.Sprintf("Okta should get a signed refusal for the reason %s", o.Reason)
	case o.Managed && o.Compliant:
		return "Okta should learn that the device is managed and compliant"
	}
	return "Okta should learn that the device is managed and not compliant"
}

func (d *demo) replay(w http.ResponseWriter, r *http.Request) error {
	for i := range d.scenarios {
		if s := &d.scenarios[i]; s.ID == r.PathValue("scenario") {
			p, err := replayPage(d.signIn(r.Context(), s))
			if err != nil {
				return err
			}
			p.Next = d.demoCase(&d.scenarios[(i+1)%len(d.scenarios)])
			return templates.Write(w, http.StatusOK, *p)
		}
	}
	return &web.Error{Status: http.StatusNotFound, Reason: "not_found", Public: "There is no such sign-in."}
}

// replayPage shows an account, with the messages where they belong.
func replayPage(a *account) (*templates.DemoReplay, error) {
	p := &templates.DemoReplay{ID: a.Scenario, Title: a.Title, Expected: expected(&a.Want, a.Protocol), Wrong: a.Wrong}
	for _, c := range a.chapters() {
		shown := templates.DemoChapter{Title: c.Title, InWords: c.InWords}
		for _, row := range c.Rows {
			shown.Rows = append(shown.Rows, templates.DemoRow{Label: row[0], Value: row[1]})
		}
		lines, err := layOut(c.Message)
		if c.JSON != "" {
			lines, err = layOutJSON(c.JSON)
		}
		if err != nil {
			return nil, fmt.Errorf("message of %q: %w", c.Title, err)
		}
		for _, l := range lines {
			shown.Message = append(shown.Message, templates.DemoLine(l))
		}
		p.Chapters = append(p.Chapters, shown)
	}
	return p, nil
}

func (d *demo) download(w http.ResponseWriter, r *http.Request) error {
	id, isP12 := strings.CutSuffix(r.PathValue("file"), ".p12")
	device := d.device(id)
	if !isP12 || device == nil {
		return &web.Error{Status: http.StatusNotFound, Reason: "not_found", Public: "There is no such device."}
	}
	w.Header().Set("Content-Type", "application/x-pkcs12")
	w.Header().Set("Content-Disposition", `attachment; filename="`+device.ID+`.p12"`)
	_, err := w.Write(device.p12)
	return err
}
