package main

import (
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Config is gatepost.yaml, the one file that configures the server. The comment
// of each field is its manual; docs/configuration.md says the same with
// examples.
//
// A relative path is relative to the folder of the file; after [LoadConfig]
// every path is absolute. ${NAME} in a value is taken from the environment, $${
// writes a plain ${. Durations are hours, minutes and seconds such as 24h or
// 1h30m. Secrets are never values, only paths of files. A key that is not below
// is refused.
type Config struct {
	// Issuer is the URL under which the provider is known: the entity ID is
	// <issuer>/saml/metadata, and metadata and administration live there. It is
	// https, a lower-case host, a port if it is not 443, and nothing behind it.
	// Changing it means configuring every relying party anew. Required.
	Issuer string `yaml:"issuer"`

	// DeviceURL is where browsers prove their device: single sign-on is served
	// there, and only there a client certificate is asked for. Its host is not
	// the issuer's, and no TLS certificate covers both, or browsers reuse the
	// issuer's connection and a managed device looks unmanaged. Defaults to
	// Issuer: one host then does both, for trials.
	DeviceURL string `yaml:"device_url"`

	// Listen are the addresses to listen on, as host:port.
	Listen Listen `yaml:"listen"`

	// TLS are the certificates of the HTTPS listener, chosen by the host name
	// that the client asks for. The hosts of Issuer and DeviceURL each need one.
	// Required.
	TLS []TLSPair `yaml:"tls"`

	// Storage is where devices, decisions and what the commands add are kept:
	// "bolt:" and the path of one file, which `gatepost init` makes. The other
	// files of the running server, its socket among them, lie in the same
	// folder. Required.
	Storage string `yaml:"storage"`

	// Signing is what answers are signed with.
	Signing Signing `yaml:"signing"`

	// Devices says whose client certificates identify a device.
	Devices Devices `yaml:"devices"`

	// RelyingParties are the Okta organisations that may ask. Those added with
	// `gatepost org add` come on top; these here are read-only to the commands.
	RelyingParties []RelyingParty `yaml:"relying_parties"`

	// Log is the log of decisions, changes and what happened to devices.
	Log Log `yaml:"log"`

	// Policies are named by letters, digits, ".", "_" and "-". A policy named
	// default is always there; writing it here changes it.
	Policies map[string]Policy `yaml:"policies"`

	// Tracing is where traces of sign-ins go. By default there are none.
	Tracing Tracing `yaml:"tracing"`

	file  string         // as given, for faults
	lines map[string]int // the line of every key that is written, by its path
}

// Listen are the server's addresses. Port 0 takes any free port, for tests.
type Listen struct {
	// HTTPS is the public listener, for browsers and Okta. Defaults to the port
	// of Issuer, on every address of the machine.
	HTTPS string `yaml:"https"`

	// Ops is the listener for /healthz, /readyz and /metrics: plain HTTP
	// without sign-in, so keep it on loopback. Defaults to "127.0.0.1:9090".
	Ops string `yaml:"ops"`
}

// TLSPair is a certificate with its chain and its private key, each a PEM file.
type TLSPair struct {
	// Cert is the path of the certificate, followed by its chain. Required.
	Cert string `yaml:"cert"`

	// Key is the path of the private key, readable by its owner only. ECDSA
	// P-256 makes a connection less than half as dear as RSA. Required.
	Key string `yaml:"key"`
}

// Signing is what answers are signed with.
type Signing struct {
	// Keys is the folder of the signing keys, one file a key, which
	// `gatepost key rotate` adds to. Defaults to "keys".
	Keys string `yaml:"keys"`

	// ES256Keys is a second such folder, of P-256 keys, for the ID tokens of
	// clients that ask for ES256; `gatepost key create --alg ES256` makes it.
	// Without it there are no such tokens.
	ES256Keys string `yaml:"es256_keys"`
}

// Devices says whose client certificates identify a device.
type Devices struct {
	// Authority is the built-in device authority. It is always accepted; its
	// certificates carry the device's ID as the URI urn:gatepost:device:<id>.
	Authority DeviceAuthority `yaml:"authority"`

	// Authorities are further certificate authorities, such as that of a
	// management system.
	Authorities []Authority `yaml:"authorities"`

	// CertificateLifetime is how long a certificate of the built-in authority
	// is valid: from 1h to 9552h (398 days). Defaults to 2160h (90 days).
	CertificateLifetime time.Duration `yaml:"certificate_lifetime"`

	// Attestation is whose word on the keys of devices counts.
	Attestation Attestation `yaml:"attestation"`

	// Shared are the IDs of the devices that nobody owns alone, such as one at a
	// reception: no relying party's bind_owner applies to them.
	Shared []string `yaml:"shared"`

	// Reports is how the agents of devices report.
	Reports Reports `yaml:"reports"`

	// AgentPort is the port on which agents take challenges, on loopback of their
	// own machine: from 1024 to 65535. Agents are told when they enrol and renew.
	// Defaults to 21717.
	AgentPort int `yaml:"agent_port"`

	// SCEP is how management systems enrol devices by that protocol.
	SCEP SCEP `yaml:"scep"`

	// ACME is the ACME server, for devices whose hardware vouches for their keys.
	ACME ACME `yaml:"acme"`

	// Proxy is for servers behind a proxy that ends TLS: how it forwards the
	// client's certificate. Without it clients connect to gatepost itself, and a
	// request with any header that forwards a certificate is refused.
	Proxy Proxy `yaml:"proxy"`
}

// Reports is how the agents of devices report.
type Reports struct {
	// Every is how often an agent is told to report: from 1m to 24h. Defaults to
	// 1h.
	Every time.Duration `yaml:"every"`

	// PerMinute is how many reports, renewals and waits a minute are taken from
	// one device, and how many at once: from 1 to 6000. Defaults to 30.
	PerMinute int `yaml:"per_minute"`
}

// DeviceAuthority is the built-in device authority, each part a PEM file that
// `gatepost init` makes.
type DeviceAuthority struct {
	// Certificate is the path of its certificate. Defaults to "device-ca.crt".
	Certificate string `yaml:"certificate"`

	// Key is the path of its private key. Defaults to "device-ca.key".
	Key string `yaml:"key"`
}

// Authority is a certificate authority whose client certificates identify a
// device.
type Authority struct {
	// Certificate is the path of the authority's own certificate, one a file,
	// in PEM. Required.
	Certificate string `yaml:"certificate"`

	// IDFrom is the part of a client certificate that is the device's ID, of
	// which there must be exactly one: uri (among the subject alternative names;
	// of urn:gatepost:device:<id>, the id), dns (a name there, in lower case), cn
	// (the subject's common name) or serial (the subject's serialNumber
	// attribute, where management systems put the hardware's, not the serial
	// number of the certificate). Required.
	IDFrom string `yaml:"id_from"`

	// Match is the attribute of the device that the part is compared with: id, or
	// serial for the serial number of its hardware, in any case, which then must
	// be that of one device only. Defaults to id.
	Match string `yaml:"match"`

	// Rank is how hard the keys are to copy that the authority certifies, as far as
	// you know it: imported (made elsewhere and brought to the device), software
	// (made on the device), hardware (in a TPM or secure element, which they cannot
	// leave) or attested (and hardware vouched for that to the authority). A policy
	// can demand a rank. Defaults to software.
	Rank string `yaml:"rank"`

	// CRL are the authority's certificate revocation lists, each the path of a
	// file, in PEM or DER, or an http or https URL. All of them must be there and
	// current, or no device of the authority is recognised. None: revocation is
	// not looked up in lists.
	CRL []string `yaml:"crl"`

	// OCSP is whether the authority is asked about each certificate: off; on, to
	// ask the responder that the certificate names; or the http or https URL of a
	// responder. Without an answer the device is not recognised. Defaults to off.
	OCSP string `yaml:"ocsp"`
}

// storageBolt is the scheme of Config.Storage for one file on this machine.
const storageBolt = "bolt:"

// StorePath is the path of the bolt file.
func (c *Config) StorePath() string { return strings.TrimPrefix(c.Storage, storageBolt) }

// DataDir is the folder of the bolt file, where the running server keeps what
// is its own.
func (c *Config) DataDir() string { return filepath.Dir(c.StorePath()) }

// SocketPath is the unix socket through which commands reach the running
// server.
func (c *Config) SocketPath() string { return filepath.Join(c.DataDir(), "gatepost.sock") }

// IssuerHost is the host name of Issuer, without a port.
func (c *Config) IssuerHost() string { return hostname(c.Issuer) }

// DeviceHost is the host name of DeviceURL, without a port. It equals
// IssuerHost when one host does both.
func (c *Config) DeviceHost() string { return hostname(c.DeviceURL) }

// hostname is the host of a URL that was checked before, else empty.
func hostname(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// port is the port of a URL, 443 if it names none that could be.
func port(rawURL string) string {
	if u, err := url.Parse(rawURL); err == nil {
		if n, err := strconv.Atoi(u.Port()); err == nil && n > 0 && n <= 65535 {
			return strconv.Itoa(n)
		}
	}
	return "443"
}

// EntityID is the provider's SAML entity ID.
func (c *Config) EntityID() string { return c.Issuer + "/saml/metadata" }

// SSOURL is where SAML requests arrive.
func (c *Config) SSOURL() string { return c.DeviceURL + "/saml/sso" }
