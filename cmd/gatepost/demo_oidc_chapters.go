package main

import (
	"fmt"
	"strings"
)

func (m *authorizationMessage) chapter() chapter {
	signed := "not signed"
	if m.Signed != "" {
		signed = "signed (" + m.Signed + ")"
	}
	if m.PKCE {
		signed += ", with PKCE"
	}
	c := chapter{
		Title: "What was asked",
		Rows:  [][2]string{{"request", m.ID}, {"sent by", "redirect, " + signed}, {"client", m.Client}, {"about user", m.User}},
		JSON:  m.JSON, InWords: "Okta asks: what is the posture of the device in front of " + m.User + "?",
	}
	if m.App != "" {
		c.Rows = append(c.Rows, [2]string{"for the app", m.App + " (" + m.AppID + ")"})
	}
	return c
}

func (m *callbackMessage) chapter() chapter {
	c := chapter{Title: "What was answered", Rows: [][2]string{{"issuer", m.Issuer}}}
	if m.Error != "" {
		c.Rows = append(c.Rows, [2]string{"error", m.Error}, [2]string{"message", m.Description})
		c.InWords = "Gatepost answers: nothing can be said for this device."
		return c
	}
	c.Rows = append(c.Rows, [2]string{"code", cut(m.Code)})
	c.InWords = "Gatepost answers with a code, good for one use within a minute. It says nothing by itself: Okta redeems it, " +
		"past the browser, for what was decided."
	return c
}

func (m *tokensMessage) chapter() chapter {
	said := "the device is not managed"
	switch {
	case m.Device.Managed && m.Device.Compliant:
		said = "the device is managed and compliant"
	case m.Device.Managed:
		said = "the device is managed and not compliant"
	}
	return chapter{
		Title: "What the code was for",
		Rows: [][2]string{
			{"ID token", "signed (" + m.Algorithm + ") by key " + m.KeyID},
			{"user", m.Subject},
			{"device", fmt.Sprintf("managed %t, compliant %t, externalId %s", m.Device.Managed, m.Device.Compliant, m.Device.ExternalID)},
			{"known by", strings.Join(append([]string{m.ACR}, m.AMR...), ", ")},
		},
		JSON: m.Claims, InWords: "Gatepost signs: " + said + ".",
	}
}
