package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptAuthenticate shows whether a client's secret counts: if it does, it is
// the code that is wrong.
func scriptAuthenticate(ts *testscript.TestScript, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: authenticate URL ID SECRET")
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "redirect_uri": {"https://acme.okta.com/cb"},
		"code": {strings.Repeat("A", 43)},
	}
	request, err := http.NewRequest("POST", args[0], strings.NewReader(form.Encode()))
	ts.Check(err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(args[1]), url.QueryEscape(args[2])) // RFC 6749 section 2.3.1
	client := webClient(nil, nil)
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	var answer struct {
		Error string `json:"error"`
	}
	if response.StatusCode < 500 {
		ts.Check(json.NewDecoder(response.Body).Decode(&answer))
	}
	fmt.Fprintln(ts.Stdout(), response.StatusCode, answer.Error)
}
