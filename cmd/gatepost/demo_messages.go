package main

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/url"
	"strings"

	"gatepost.dev/conform"
)

// requestMessage is an AuthnRequest as it passed by.
type requestMessage struct {
	Binding conform.Binding `json:"binding"`
	ID      string          `json:"id"`
	Subject string          `json:"subject"`
	App     string          `json:"app,omitempty"`
	AppID   string          `json:"app_id,omitempty"`
	Signed  bool            `json:"signed"`
	XML     string          `json:"xml"`
}

// responseMessage is a Response as it passed by.
type responseMessage struct {
	ID              string        `json:"id"`
	Status          []string      `json:"status"` // codes, the top-level one first, short form
	Message         string        `json:"message,omitempty"`
	Detail          string        `json:"detail,omitempty"`
	Subject         string        `json:"subject,omitempty"`
	Facts           []factMessage `json:"facts,omitempty"`
	ResponseSigned  bool          `json:"response_signed"`
	AssertionSigned bool          `json:"assertion_signed"`
	XML             string        `json:"xml"`
}

// factMessage is a fact as it passed by.
type factMessage struct {
	Name  string `json:"name" xml:"Name,attr"`
	Value string `json:"value" xml:"Value,attr"`
}

// readRedirect reads the request out of a redirect's query (SAML bindings
// 3.4.4.1).
func readRedirect(query url.Values) (*requestMessage, error) {
	packed, err := base64.StdEncoding.DecodeString(query.Get("SAMLRequest"))
	if err != nil {
		return nil, fmt.Errorf("SAMLRequest: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxPage))
	if err != nil {
		return nil, fmt.Errorf("SAMLRequest: %w", err)
	}
	m, err := readRequest(text)
	if err != nil {
		return nil, err
	}
	m.Binding, m.Signed = conform.Redirect, query.Has("Signature")
	return m, nil
}

// readPost reads the request out of a form (SAML bindings 3.5.4).
func readPost(form url.Values) (*requestMessage, error) {
	text, err := base64.StdEncoding.DecodeString(form.Get("SAMLRequest"))
	if err != nil {
		return nil, fmt.Errorf("SAMLRequest: %w", err)
	}
	m, err := readRequest(text)
	if err != nil {
		return nil, err
	}
	m.Binding = conform.Post
	return m, nil
}

func readRequest(text []byte) (*requestMessage, error) {
	var r struct {
		ID        string    `xml:"ID,attr"`
		Subject   string    `xml:"Subject>NameID"`
		App       string    `xml:"Extensions>OktaAppName"`
		AppID     string    `xml:"Extensions>OktaAppInstanceId"`
		Signature *struct{} `xml:"Signature"`
	}
	if err := xml.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("SAMLRequest: %w", err)
	}
	return &requestMessage{ID: r.ID, Subject: r.Subject, App: r.App, AppID: r.AppID, Signed: r.Signature != nil, XML: string(text)}, nil
}

// statusCode nests (SAML core 3.2.2.2).
type statusCode struct {
	Value string      `xml:"Value,attr"`
	Sub   *statusCode `xml:"StatusCode"`
}

// readResponse reads the answer out of its form. It verifies nothing: that is
// for Okta.
func readResponse(form url.Values) (*responseMessage, error) {
	text, err := base64.StdEncoding.DecodeString(form.Get("SAMLResponse"))
	if err != nil {
		return nil, fmt.Errorf("SAMLResponse: %w", err)
	}
	var r struct {
		ID        string     `xml:"ID,attr"`
		Code      statusCode `xml:"Status>StatusCode"`
		Message   string     `xml:"Status>StatusMessage"`
		Signature *struct{}  `xml:"Signature"`
		Detail    struct {
			Inner string `xml:",innerxml"`
		} `xml:"Status>StatusDetail"`
		Assertion struct {
			Signature *struct{}     `xml:"Signature"`
			Subject   string        `xml:"Subject>NameID"`
			Facts     []factMessage `xml:"AuthnStatement>AuthnContext>AuthnContextDecl>AuthenticationContextDeclaration>Extension>Device>Posture>Fact"`
		} `xml:"Assertion"`
	}
	if err := xml.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("SAMLResponse: %w", err)
	}
	m := &responseMessage{
		ID: r.ID, Message: r.Message, Detail: words(r.Detail.Inner), Subject: r.Assertion.Subject, Facts: r.Assertion.Facts,
		ResponseSigned: r.Signature != nil, AssertionSigned: r.Assertion.Signature != nil, XML: string(text),
	}
	for code := &r.Code; code != nil; code = code.Sub {
		m.Status = append(m.Status, code.Value[strings.LastIndex(code.Value, ":")+1:])
	}
	return m, nil
}

// words are the text in some XML, without its markup.
func words(inner string) string {
	var b strings.Builder
	d := xml.NewDecoder(strings.NewReader(inner))
	for {
		token, err := d.RawToken()
		if err != nil {
			return strings.TrimSpace(b.String())
		}
		if text, ok := token.(xml.CharData); ok {
			b.Write(text)
		}
	}
}
