package idp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatepost.dev/agentapi"
	"gatepost.dev/conform"
	"gatepost.dev/idp"
	"gatepost.dev/posture"
)

const (
	agentURL  = "http://127.0.0.1:21717"
	issuerURL = "https://posture.example.com"
)

// challenging is a world whose relying party has agents asked, with a device that
// has one.
func challenging(t *testing.T, change ...func(*world)) (*world, *tls.Certificate) {
	t.Helper()
	w := newWorld(t, append([]func(*world){func(w *world) { w.party.AgentChallenge = true }}, change...)...)
	w.device("mac-1", managed)
	return w, w.certificate("mac-1", time.Hour)
}

// visitor is a browser that shows no certificate and keeps cookies.
func visitor(t *testing.T) *http.Client {
	t.Helper()
	client := browser(nil)
	client.Jar = must(cookiejar.New(nil))(t)
	return client
}

// ask begins a sign-in and gives the page's form and the challenge that the
// browser is sent to the agent with.
func (w *world) ask(client *http.Client, force ...bool) (action, ticket, challenge string) {
	w.t.Helper()
	p := w.send(client, must(w.okta.Request(conform.RequestOptions{Subject: user, ForceAuthn: len(force) > 0}))(w.t))
	action, ticket = w.challengePage(p)
	status, location := w.fetchChallenge(client, strings.TrimSuffix(action, idp.ContinuePath), ticket)
	challenge, ok := strings.CutPrefix(location, agentURL+agentapi.ChallengePath+"?request=")
	if status != http.StatusSeeOther || !ok {
		w.t.Fatalf("%d to %q\n%s", status, location, w.logged)
	}
	return action, ticket, challenge
}

var goForm = regexp.MustCompile(`action="([^"]*)" id="go"`)

func (w *world) challengePage(p page) (action, ticket string) {
	w.t.Helper()
	m := goForm.FindStringSubmatch(p.body)
	if m == nil {
		w.t.Fatalf("no challenge: %d %s\n%s", p.status, p.body, w.logged)
	}
	_, ticket = w.explanation(p)
	return m[1], ticket
}

func (w *world) fetchChallenge(client *http.Client, endpoint, ticket string) (status int, location string) {
	w.t.Helper()
	resp := must(client.PostForm(endpoint+idp.AskPath, url.Values{"ticket": {ticket}}))(w.t)
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

// sign answers as the agent with the certificate does.
func (w *world) sign(challenge string, c *tls.Certificate) string {
	w.t.Helper()
	leaf := must(x509.ParseCertificate(c.Certificate[0]))(w.t)
	return must(agentapi.SignAnswer(challenge, issuerURL, leaf, c.PrivateKey.(*ecdsa.PrivateKey)))(w.t)
}

// post posts a form.
func (w *world) post(client *http.Client, action string, form url.Values) page {
	w.t.Helper()
	resp := must(client.PostForm(action, form))(w.t)
	defer resp.Body.Close()
	return readPage(w.t, resp)
}

// judged is what Okta makes of the answer.
func (w *world) judged(p page) *conform.SignIn {
	w.t.Helper()
	in, err := w.okta.Receive(p.response, p.relay)
	if err != nil {
		w.t.Fatalf("%v: %d %s\n%s", err, p.status, p.body, w.logged)
	}
	return in
}

func (w *world) deliver(client *http.Client, action, ticket, answer string) page {
	w.t.Helper()
	return w.post(client, action, url.Values{"ticket": {ticket}, "choice": {"answer"}, "answer": {answer}})
}

func TestChallengeRecognises(t *testing.T) {
	t.Parallel()
	w, device := challenging(t)
	client := visitor(t)
	action, ticket, challenge := w.ask(client)
	in := w.judged(w.deliver(client, action, ticket, w.sign(challenge, device)))
	d := w.lastDecision()
	if !in.Managed || d.DeviceID != "mac-1" || d.Proof != (posture.Proof{Method: posture.ByChallenge, Rank: posture.RankSoftware}) || d.Outcome != posture.Asserted {
		t.Errorf("%+v, %+v", in, d)
	}
}

// TestChallengeIsRefused: what an attacker can do with a good answer, or without
// one, decides nothing.
func TestChallengeIsRefused(t *testing.T) {
	t.Parallel()
	w, device := challenging(t)
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	for _, tt := range []struct {
		what, reason string
		do           func(client *http.Client, action, ticket, challenge string) page
	}{
		{"another browser", "ticket_browser", func(_ *http.Client, action, ticket, challenge string) page {
			return w.deliver(visitor(t), action, ticket, w.sign(challenge, device))
		}},
		{"late", "challenge", func(client *http.Client, action, ticket, challenge string) page {
			defer w.offset.Store(w.offset.Load())
			w.offset.Add(int64(agentapi.ChallengeLife))
			return w.deliver(client, action, ticket, w.sign(challenge, device))
		}},
		{"another sign-in", "challenge_other", func(client *http.Client, action, ticket, _ string) page {
			_, _, challenge := w.ask(client)
			return w.deliver(client, action, ticket, w.sign(challenge, device))
		}},
		{"a key that the certificate does not name", "answer", func(client *http.Client, action, ticket, challenge string) page {
			return w.deliver(client, action, ticket, w.sign(challenge, &tls.Certificate{Certificate: device.Certificate, PrivateKey: other}))
		}},
		{"a challenge of somebody else", "challenge", func(client *http.Client, action, ticket, _ string) page {
			forged := agentapi.Challenge{Issuer: issuerURL, ID: "x", SignIn: "y", Expires: w.now().Add(time.Minute)}
			return w.deliver(client, action, ticket, w.sign(must(forged.Sign(other))(t), device))
		}},
		{"no answer", "answer", func(client *http.Client, action, ticket, _ string) page { return w.deliver(client, action, ticket, "") }},
		{"check, which is of another page", "malformed", func(client *http.Client, action, ticket, _ string) page {
			return w.post(client, action, url.Values{"ticket": {ticket}, "choice": {"check"}})
		}},
		{"a relying party that wants none any more", "ticket_party", func(client *http.Client, action, ticket, challenge string) page {
			w.party.AgentChallenge = false
			defer func() { w.party.AgentChallenge = true }()
			return w.deliver(client, action, ticket, w.sign(challenge, device))
		}},
	} {
		client := visitor(t)
		action, ticket, challenge := w.ask(client)
		from := len(w.logged.String())
		if p := tt.do(client, action, ticket, challenge); p.status != http.StatusBadRequest || p.response != "" {
			t.Errorf("%s: %d %s", tt.what, p.status, p.body)
		}
		if log := w.logged.after(from, `"reason":"`+tt.reason+`"`); !strings.Contains(log, `"reason":"`+tt.reason+`"`) {
			t.Errorf("%s: %s", tt.what, log)
		}
	}
	w.undecided()
}

// TestChallengeIsAnsweredOnce: also by a browser that sends its request again.
func TestChallengeIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	w, device := challenging(t)
	client := visitor(t)
	action, ticket, challenge := w.ask(client)
	answer := w.sign(challenge, device)
	if in := w.judged(w.deliver(client, action, ticket, answer)); !in.Managed {
		t.Fatalf("%+v", in)
	}
	if p := w.deliver(client, action, ticket, answer); p.status != http.StatusBadRequest || !w.logged.wait(`"reason":"replayed"`) {
		t.Errorf("again: %d %s", p.status, p.body)
	}
	// With a fresh challenge too: the request itself is answered.
	_, location := w.fetchChallenge(client, strings.TrimSuffix(action, idp.ContinuePath), ticket)
	_, challenge, _ = strings.Cut(location, "request=")
	if p := w.deliver(client, action, ticket, w.sign(challenge, device)); p.status != http.StatusBadRequest {
		t.Errorf("the request twice: %d %s", p.status, p.body)
	}
}

// TestChallengeJudges: a certificate that does not count in TLS does not count
// here, and whoever goes on without an agent has no certificate.
func TestChallengeJudges(t *testing.T) {
	t.Parallel()
	w, device := challenging(t)
	foreign, _ := w.unrecorded(w.authority, "mac-1", time.Hour)
	for what, tt := range map[string]struct {
		certificate *tls.Certificate
		reason      posture.Reason
	}{"unrecorded": {foreign, posture.UnknownDevice}, "none": {nil, posture.NoCertificate}} {
		client := visitor(t)
		action, ticket, challenge := w.ask(client)
		form := url.Values{"ticket": {ticket}, "choice": {"continue"}, "answer": {""}}
		if tt.certificate != nil {
			form = url.Values{"ticket": {ticket}, "choice": {"answer"}, "answer": {w.sign(challenge, tt.certificate)}}
		}
		if in := w.judged(w.post(client, action, form)); in.Managed || in.StatusDetail != string(tt.reason) {
			t.Errorf("%s: %+v", what, in)
		}
	}
	// Whoever posts the page of somebody else goes on without a proof of his own.
	action, ticket, _ := w.ask(visitor(t))
	in := w.judged(w.post(browser(device), action, url.Values{"ticket": {ticket}, "choice": {"continue"}}))
	if in.Managed || in.StatusDetail != string(posture.NoCertificate) {
		t.Errorf("on with another browser: %+v", in)
	}
	w.party.Policy = &posture.Policy{Name: "certificates", Methods: []posture.Method{posture.ByCertificate}}
	if p := w.send(visitor(t), must(w.okta.Request(conform.RequestOptions{Subject: user}))(t)); goForm.MatchString(p.body) {
		t.Error("asked an agent whose word does not count")
	}
	w.party.Policy = &posture.Policy{Name: "default"}
	if in := w.signIn(browser(device), conform.RequestOptions{Subject: user}); !in.Managed || w.lastDecision().Proof.Method != posture.ByCertificate {
		t.Errorf("with a certificate: %+v", in)
	}
}

// TestChallengeThenExplanation: what the agent proved still holds when the user
// has read what is wrong, in this browser only, also for a request that wants a
// proof of its own.
func TestChallengeThenExplanation(t *testing.T) {
	t.Parallel()
	w, device := challenging(t, func(w *world) {
		w.party.ExplainNoncompliant = true
		w.party.Policy = &posture.Policy{Name: "strict", Rules: []posture.Rule{demand{fact: "DiskEncrypted"}}}
	})
	client := visitor(t)
	action, ticket, challenge := w.ask(client, true)
	explained := w.deliver(client, action, ticket, w.sign(challenge, device))
	action, ticket = w.explanation(explained)
	if p := w.choose(visitor(t), action, ticket, "continue"); p.status != http.StatusBadRequest || !w.logged.wait(`"reason":"ticket_browser"`) {
		t.Errorf("another browser: %d %s", p.status, p.body)
	}
	w.mend("mac-1")
	in := w.judged(w.choose(client, action, ticket, "check"))
	if d := w.lastDecision(); !in.Managed || !in.Compliant || d.Proof.Method != posture.ByChallenge {
		t.Errorf("%+v, %+v", in, d)
	}
}

// TestChallengeByOpenIDConnect: the same by an authorization request, which is
// answered at once if nobody may be asked.
func TestChallengeByOpenIDConnect(t *testing.T) {
	t.Parallel()
	w, device := challenging(t)
	client := visitor(t)
	p := readPage(t, must(client.Get(w.op.AuthorizeURL+"?"+ask("login_hint", user).Encode()))(t))
	action, ticket := w.challengePage(p)
	if status, _ := w.fetchChallenge(client, strings.TrimSuffix(w.ssoURL, idp.ContinuePath), ticket); status != http.StatusBadRequest {
		t.Errorf("a challenge by the other protocol: %d", status)
	}
	status, location := w.fetchChallenge(client, w.op.AuthorizeURL, ticket)
	_, challenge, _ := strings.Cut(location, "request=")
	if status != http.StatusSeeOther {
		t.Fatalf("%d to %q", status, location)
	}
	resp := must(client.PostForm(action, url.Values{"ticket": {ticket}, "choice": {"answer"}, "answer": {w.sign(challenge, device)}}))(t)
	resp.Body.Close()
	back := must(resp.Location())(t)
	if d := w.lastDecision(); back.Query().Get("code") == "" || d.DeviceID != "mac-1" || d.Proof.Method != posture.ByChallenge {
		t.Errorf("back to %s, %+v", back, d)
	}
	if r := w.authorize(visitor(t), ask("login_hint", user, "prompt", "none")); r.fields.Get("error") != "login_required" {
		t.Errorf("prompt=none: %+v", r)
	}
	passive := conform.RequestOptions{Subject: user, Edit: func(root *etree.Element) { root.CreateAttr("IsPassive", "true") }}
	if p := w.send(visitor(t), must(w.okta.Request(passive))(t)); p.response == "" {
		t.Errorf("IsPassive: asked: %s", p.body)
	}
}
