package conform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
)

// maxAnswer is more than any answer of the back channel has: go-oidc would read
// one without end.
const maxAnswer = 256 << 10

// backChannel is the client for token endpoint, UserInfo and keys. It follows no
// redirect: a secret would go along with one of status 307.
func backChannel(client *http.Client) *http.Client {
	own := *client
	next := own.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	own.Transport = limited{next}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// limited ends answers that are too large with an error.
type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.next.RoundTrip(r)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxAnswer)
	}
	return res, err
}

// watched notes the header of the answer, which x/oauth2 keeps to itself.
type watched struct {
	next   http.RoundTripper
	header http.Header
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.next.RoundTrip(r)
	if err == nil {
		w.header = res.Header
	}
	return res, err
}

// redeem exchanges the code for tokens (OpenID Connect core 3.1.3).
func (o *OktaOIDC) redeem(ctx context.Context, code, verifier string) (*oauth2.Token, http.Header, error) {
	config := oauth2.Config{
		ClientID: o.cfg.ClientID, ClientSecret: o.cfg.ClientSecret, RedirectURL: o.cfg.RedirectURI,
		Endpoint: oauth2.Endpoint{TokenURL: o.cfg.Endpoints.Token, AuthStyle: oauth2.AuthStyleInHeader},
	}
	var opts []oauth2.AuthCodeOption
	if verifier != "" {
		opts = append(opts, oauth2.VerifierOption(verifier))
	}
	switch o.cfg.AuthMethod {
	case secretPost:
		config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	case privateKeyJWT:
		config.Endpoint.AuthStyle, config.ClientSecret = oauth2.AuthStyleInParams, ""
		assertion, err := o.assertion()
		if err != nil {
			return nil, nil, err
		}
		opts = append(opts, oauth2.SetAuthURLParam("client_assertion", assertion),
			oauth2.SetAuthURLParam("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"))
	}
	watch := &watched{next: o.client.Transport}
	client := *o.client
	client.Transport = watch
	token, err := config.Exchange(oidc.ClientContext(ctx, &client), code, opts...)
	if err != nil {
		return nil, nil, shortened(err)
	}
	return token, watch.header, nil
}

// assertionLifetime is as short as a clock that is not quite right allows.
const assertionLifetime = 5 * time.Minute

// assertion proves the client by its key (OpenID Connect core 9; RFC 7523).
func (o *OktaOIDC) assertion() (string, error) {
	id, err := o.random()
	if err != nil {
		return "", err
	}
	now := o.cfg.Now()
	return o.sign(jose.RS256, map[string]any{
		"iss": o.cfg.ClientID, "sub": o.cfg.ClientID, "aud": o.cfg.Endpoints.Token, "jti": id,
		"iat": now.Unix(), "exp": now.Add(assertionLifetime).Unix(),
	})
}

// sign writes claims as a JWS of this Okta's key, or of its secret.
func (o *OktaOIDC) sign(alg jose.SignatureAlgorithm, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("write a JWT: %w", err)
	}
	key := jose.SigningKey{Algorithm: alg, Key: []byte(o.cfg.ClientSecret)}
	if strings.HasPrefix(string(alg), "RS") {
		key.Key = o.signing
	}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("sign a JWT: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign a JWT: %w", err)
	}
	return signed.CompactSerialize()
}

// userInfo asks UserInfo by the access token (OpenID Connect core 5.3) and
// returns its JSON.
func (o *OktaOIDC) userInfo(ctx context.Context, token *oauth2.Token) ([]byte, error) {
	info, err := o.provider.UserInfo(oidc.ClientContext(ctx, o.client), oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, shortened(err)
	}
	var raw json.RawMessage
	if err := info.Claims(&raw); err != nil {
		return nil, err
	}
	return raw, nil
}

// shortened is an error for people: what x/oauth2 and go-oidc make of an answer
// that they do not like has all of it in it.
func shortened(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		if refused.ErrorCode == "" {
			return fmt.Errorf("the token endpoint answers %s", refused.Response.Status)
		}
		return fmt.Errorf("the token endpoint answers %s: %.100s: %.200s", refused.Response.Status, refused.ErrorCode, refused.ErrorDescription)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	const most = 300
	if text := err.Error(); len(text) > most {
		return errors.New(strings.ToValidUTF8(text[:most], "") + "…")
	}
	return err
}
