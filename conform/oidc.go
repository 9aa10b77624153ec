package conform

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// OIDCEndpoints are a provider's, as an administrator types them into Okta's
// console one by one.
type OIDCEndpoints struct {
	Authorization string
	Token         string
	JWKS          string
	UserInfo      string // "": Okta asks for none

	// IssParameter: every answer has the parameter iss (RFC 9207), so one
	// without it is refused.
	IssParameter bool
}

// OktaOIDCConfig is one OpenID Connect identity provider as an administrator
// would enter it into Okta's console, and the org that asks.
type OktaOIDCConfig struct {
	ClientID     string
	ClientSecret string          // for a secret's two methods, and for requests signed with HS256 to HS512
	AuthMethod   string          // client_secret_basic, client_secret_post or private_key_jwt; "": the first
	Key          *rsa.PrivateKey // for private_key_jwt, and for requests signed with RS256 to RS512
	RedirectURI  string          // https://ORG/oauth2/v1/authorize/callback, an absolute URL
	Issuer       string          // exact, trailing slash and all
	Endpoints    OIDCEndpoints

	Scopes        []string // nil: openid, email and profile
	ResponseMode  string   // form_post or query; "": the parameter is not sent, which means query
	PKCE          bool
	RequestObject string   // algorithm by which requests are signed; "": they are not
	IDTokenAlgs   []string // nil: RS256 and ES256

	SendAppContext *AppContext // sent with every request that names no other; nil: none
	OktaAppNames   bool        // sends it as OktaAppInstanceId and OktaAppName, not as app_instance_id and app_name
	ClockSkew      time.Duration

	HTTPClient *http.Client // to the provider; nil: one with a timeout
	Now        func() time.Time
	Rand       io.Reader    // nil: crypto/rand.Reader
	Log        *slog.Logger // for Handler; nil: nothing is logged
}

// OktaOIDC is an OpenID Connect relying party as Okta is one, on go-oidc. It is
// safe for concurrent use.
type OktaOIDC struct {
	cfg      OktaOIDCConfig
	callback *url.URL
	client   *http.Client
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	signing  *jose.JSONWebKey // nil: no key

	mu   sync.Mutex
	open recent[sentOIDC] // requests whose answer is awaited, by state
}

// How the client proves itself at the token endpoint (OpenID Connect core 9).
const (
	secretBasic   = "client_secret_basic"
	secretPost    = "client_secret_post"
	privateKeyJWT = "private_key_jwt"
)

const (
	modeQuery    = "query"
	modeFormPost = "form_post"
)

// backChannelTimeout is for one request to the provider.
const backChannelTimeout = 30 * time.Second

// NewOktaOIDC checks the configuration and returns an Okta that trusts this one
// provider. It asks the provider for nothing yet.
func NewOktaOIDC(cfg OktaOIDCConfig) (*OktaOIDC, error) {
	callback, err := cfg.check()
	if err != nil {
		return nil, fmt.Errorf("configure okta: %w", err)
	}
	cfg.complete()
	o := &OktaOIDC{cfg: cfg, callback: callback, client: backChannel(cfg.HTTPClient), open: recent[sentOIDC]{limit: maxOpen}}
	if cfg.Key != nil {
		if o.signing, err = signingKey(cfg.Key); err != nil {
			return nil, fmt.Errorf("configure okta: %w", err)
		}
	}
	ctx := oidc.ClientContext(context.Background(), o.client)
	o.provider = (&oidc.ProviderConfig{
		IssuerURL: cfg.Issuer, AuthURL: cfg.Endpoints.Authorization, TokenURL: cfg.Endpoints.Token,
		JWKSURL: cfg.Endpoints.JWKS, UserInfoURL: cfg.Endpoints.UserInfo,
	}).NewProvider(ctx)
	o.verifier = o.provider.VerifierContext(ctx, &oidc.Config{
		ClientID: cfg.ClientID, SupportedSigningAlgs: cfg.IDTokenAlgs,
		Now: func() time.Time { return cfg.Now().Add(-cfg.ClockSkew) },
	})
	return o, nil
}

// check returns where answers are awaited.
func (cfg *OktaOIDCConfig) check() (*url.URL, error) {
	if cfg.ClientID == "" || cfg.Issuer == "" || cfg.Now == nil {
		return nil, errors.New("client ID, issuer and clock are required")
	}
	callback, err := url.Parse(cfg.RedirectURI)
	if err != nil || callback.Host == "" || len(callback.Path) < 2 || callback.RawQuery != "" {
		return nil, fmt.Errorf("redirect URI %q is not an absolute URL with a path", cfg.RedirectURI)
	}
	for _, endpoint := range []string{cfg.Endpoints.Authorization, cfg.Endpoints.Token, cfg.Endpoints.JWKS} {
		if u, err := url.Parse(endpoint); err != nil || u.Host == "" {
			return nil, fmt.Errorf("endpoint %q is not an absolute URL; authorization, token and JWKS are required", endpoint)
		}
	}
	switch cfg.AuthMethod {
	case "", secretBasic, secretPost:
		if cfg.ClientSecret == "" {
			return nil, errors.New("a client secret is required")
		}
	case privateKeyJWT:
		if cfg.Key == nil {
			return nil, errors.New("private_key_jwt needs a key")
		}
	default:
		return nil, fmt.Errorf("authentication method %q", cfg.AuthMethod)
	}
	if !slices.Contains([]string{"", modeQuery, modeFormPost}, cfg.ResponseMode) {
		return nil, fmt.Errorf("response mode %q", cfg.ResponseMode)
	}
	switch cfg.RequestObject {
	case "":
	case "HS256", "HS384", "HS512":
		least := map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}[cfg.RequestObject] // RFC 7518 section 3.2
		if len(cfg.ClientSecret) < least {
			return nil, fmt.Errorf("requests signed with %s need a client secret of %d bytes", cfg.RequestObject, least)
		}
	case "RS256", "RS384", "RS512":
		if cfg.Key == nil {
			return nil, fmt.Errorf("requests signed with %s need a key", cfg.RequestObject)
		}
	default:
		return nil, fmt.Errorf("request signing algorithm %q", cfg.RequestObject)
	}
	return callback, nil
}

// complete fills in what was left open.
func (cfg *OktaOIDCConfig) complete() {
	if cfg.AuthMethod == "" {
		cfg.AuthMethod = secretBasic
	}
	if cfg.Scopes == nil {
		cfg.Scopes = []string{oidc.ScopeOpenID, oidc.ScopeEmail, oidc.ScopeProfile}
	}
	if cfg.IDTokenAlgs == nil {
		cfg.IDTokenAlgs = []string{oidc.RS256, oidc.ES256}
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = &http.Client{Timeout: backChannelTimeout}
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
}

// DiscoverOIDC reads the endpoints out of the provider's discovery document
// (OpenID Connect discovery 4). A nil client is one with a timeout.
func DiscoverOIDC(ctx context.Context, client *http.Client, issuer string) (OIDCEndpoints, error) {
	if client == nil {
		client = &http.Client{Timeout: backChannelTimeout}
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, backChannel(client)), issuer)
	if err != nil {
		return OIDCEndpoints{}, fmt.Errorf("discover %q: %w", issuer, shortened(err))
	}
	var document struct {
		JWKS string `json:"jwks_uri"`
		Iss  bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&document); err != nil {
		return OIDCEndpoints{}, fmt.Errorf("discover %q: %w", issuer, err)
	}
	return OIDCEndpoints{
		Authorization: p.Endpoint().AuthURL, Token: p.Endpoint().TokenURL, UserInfo: p.UserInfoEndpoint(),
		JWKS: document.JWKS, IssParameter: document.Iss,
	}, nil
}

// signingKey names the key by its thumbprint (RFC 7638).
func signingKey(key *rsa.PrivateKey) (*jose.JSONWebKey, error) {
	jwk := &jose.JSONWebKey{Key: key, Use: "sig"}
	public := jwk.Public()
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("name the key: %w", err)
	}
	jwk.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	return jwk, nil
}

// KeySet is the JWK Set (RFC 7517 section 5) with the public key by which this
// Okta signs requests and assertions; without a key it is empty.
func (o *OktaOIDC) KeySet() []byte {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	if o.signing != nil {
		set.Keys = append(set.Keys, o.signing.Public())
	}
	doc, err := json.Marshal(set)
	if err != nil {
		panic(err) // an RSA key can always be written
	}
	return doc
}

// random makes a value that nobody guesses: 256 bits in 43 characters.
func (o *OktaOIDC) random() (string, error) {
	raw := make([]byte, 32)
	if _, err := io.ReadFull(o.cfg.Rand, raw); err != nil {
		return "", fmt.Errorf("make a random value: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}
