package main

import (
	"strings"

	"gatepost.dev/conform"
	"gatepost.dev/contract"
	"gatepost.dev/posture"
)

// chapter is a part of an account for people: values under labels.
type chapter struct {
	Title   string
	Rows    [][2]string
	Message string // XML that it is about; may be ""
	JSON    string // or JSON
	InWords string // what the message says
}

// chapters tell the account in its order, as far as it got.
func (a *account) chapters() []chapter {
	came := chapter{Title: "Who came", Rows: [][2]string{{"certificate", "none"}}}
	if d := a.Device; d != nil {
		came.Rows = [][2]string{
			{"device", d.ID + " (" + d.Name + ")"}, {"owner", d.Owner},
			{"certificate", d.Serial}, {"valid until", day(d.NotAfter)},
		}
	}
	told := []chapter{came}
	if a.Request != nil {
		told = append(told, a.Request.chapter())
	}
	if a.Authorization != nil {
		told = append(told, a.Authorization.chapter())
	}
	if a.Decision != nil {
		told = append(told, decisionChapter(a.Decision))
	}
	if a.Response != nil {
		told = append(told, a.Response.chapter())
	}
	if a.Callback != nil {
		told = append(told, a.Callback.chapter())
	}
	if a.Tokens != nil {
		told = append(told, a.Tokens.chapter())
	}
	if a.Okta != nil {
		told = append(told, oktaChapter(a.Okta))
	}
	return told
}

func (m *requestMessage) chapter() chapter {
	binding, signed := "HTTP-Redirect", "signed"
	if m.Binding == conform.Post {
		binding = "HTTP-POST"
	}
	if !m.Signed {
		signed = "not signed"
	}
	c := chapter{
		Title:   "What was asked",
		Rows:    [][2]string{{"request", m.ID}, {"sent by", binding + ", " + signed}, {"about user", m.Subject}},
		Message: m.XML, InWords: "Okta asks: what is the posture of the device in front of " + m.Subject + "?",
	}
	if m.App != "" {
		c.Rows = append(c.Rows, [2]string{"for the app", m.App + " (" + m.AppID + ")"})
	}
	return c
}

func (m *responseMessage) chapter() chapter {
	c := chapter{
		Title:   "What was answered",
		Rows:    [][2]string{{"status", strings.Join(m.Status, " / ")}},
		Message: m.XML, InWords: m.inWords(),
	}
	if m.Message != "" {
		c.Rows = append(c.Rows, [2]string{"message", m.Message}, [2]string{"detail", m.Detail})
	}
	if len(m.Facts) > 0 {
		var facts []string
		for _, f := range m.Facts {
			facts = append(facts, f.Name+" "+f.Value)
		}
		c.Rows = append(c.Rows, [2]string{"facts", strings.Join(facts, ", ")})
	}
	var signed []string
	if m.ResponseSigned {
		signed = append(signed, "Response")
	}
	if m.AssertionSigned {
		signed = append(signed, "Assertion")
	}
	if signed == nil {
		signed = []string{"nothing"}
	}
	c.Rows = append(c.Rows, [2]string{"signed", strings.Join(signed, " and ")})
	return c
}

// inWords says what the answer says of the device.
func (m *responseMessage) inWords() string {
	if len(m.Facts) == 0 {
		return "Gatepost answers: nothing can be said for this device (" + m.Detail + ")."
	}
	var said []string
	for _, f := range m.Facts {
		word := map[string]string{contract.FactManaged: "managed", contract.FactCompliant: "compliant"}[f.Name]
		switch {
		case word != "" && f.Value == "true":
			said = append(said, word)
		case word != "":
			said = append(said, "not "+word)
		}
	}
	return "Gatepost answers: the device is " + strings.Join(said, " and ") + "."
}

func decisionChapter(d *posture.Decision) chapter {
	verdict := "not managed"
	switch {
	case d.Managed && d.Compliant:
		verdict = "managed and compliant"
	case d.Managed:
		verdict = "managed, not compliant"
	}
	c := chapter{Title: "What was decided", Rows: [][2]string{{"verdict", verdict}}}
	if d.Reason != "" {
		c.Rows = append(c.Rows, [2]string{"reason", string(d.Reason)})
	}
	c.Rows = append(c.Rows, [2]string{"answer", string(d.Outcome)}, [2]string{"reference", d.ID})
	return c
}

func oktaChapter(result map[string]string) chapter {
	c := chapter{Title: "What Okta made of it"}
	for _, name := range []string{"outcome", "user", "managed", "compliant", "error", "why"} {
		if said := strings.ReplaceAll(result[name], "urn:oasis:names:tc:SAML:2.0:status:", ""); said != "" {
			c.Rows = append(c.Rows, [2]string{name, said})
		}
	}
	return c
}
