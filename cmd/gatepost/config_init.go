package main

import (
	"bytes"
	"strings"
	"text/template"
)

// InitialConfig is the gatepost.yaml that `gatepost init` writes into the data
// folder, beside the files that it names. deviceURL is empty when one host does
// everything. Neither URL is checked here; [LoadConfig] does.
func InitialConfig(issuer, deviceURL string) []byte {
	if deviceURL == issuer {
		deviceURL = ""
	}
	var b bytes.Buffer
	// It fails only on a fault of the template, which every test would see.
	template.Must(template.New("gatepost.yaml").Funcs(template.FuncMap{"text": yamlText}).Parse(initialConfig)).
		Execute(&b, map[string]string{"Issuer": issuer, "DeviceURL": deviceURL, "Port": port(issuer)})
	return b.Bytes()
}

// yamlText quotes a value so that it is read as it is: as YAML, and by the
// expansion of ${NAME}.
func yamlText(s string) string {
	s = strings.ReplaceAll(s, "${", "$${")
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// initialConfig is a template, and for most operators the first documentation
// that they read.
const initialConfig = `# The configuration of gatepost. Relative paths are relative to this file;
# ${NAME} in a value is taken from the environment. Look for faults with
#     gatepost check --config gatepost.yaml
# and let a running server read it again with SIGHUP. docs/configuration.md
# describes every key.

# The URL under which Okta and administrators know this server. It is part of
# what Okta stores (the entity ID is <issuer>/saml/metadata): choose it to last.
issuer: {{text .Issuer}}

# The URL where browsers prove their device with its certificate. Give it a host
# of its own: on one host, every browser that comes for anything else is asked
# for a certificate too.
{{- if .DeviceURL}}
device_url: {{text .DeviceURL}}
{{- else}}
# device_url: https://device.posture.example.com
{{- end}}

listen:
  https: ":{{.Port}}"           # browsers and Okta
  ops: "127.0.0.1:9090"   # /healthz, /readyz and /metrics, without sign-in: keep it on loopback

# A certificate and its key for each host above. No certificate may cover both
# hosts, not even by a wildcard: browsers would then reuse one connection for
# both, and a managed device would look unmanaged.
tls:
  - { cert: tls.crt, key: tls.key }
{{- if .DeviceURL}}
  - { cert: device-tls.crt, key: device-tls.key }
{{- end}}

# Devices, decisions and what the commands add, in one file.
storage: bolt:gatepost.db

signing:
  keys: keys              # one file a key; ` + "`gatepost key rotate`" + ` adds one
  es256_keys: es256-keys  # for ID tokens by ES256; ` + "`gatepost key rotate --alg ES256`" + ` adds one

devices:
  # The built-in authority issues the devices' certificates.
  authority: { certificate: device-ca.crt, key: device-ca.key }
  certificate_lifetime: 2160h   # 90 days

  # How often agents report, and how many requests a minute are taken from one.
  reports: { every: 1h, per_minute: 30 }

  # Other authorities whose certificates identify a device, and by which part:
  # uri, dns, cn or serial.
  authorities: []
  # - certificate: mdm-ca.crt
  #   id_from: cn
  #   match: id                   # or serial: the part is the hardware's serial number
  #   crl: [mdm.crl]              # revocation lists: files or http URLs
  #   ocsp: off                   # or on, or a responder's URL

  # Devices that nobody owns alone, by ID: bind_owner does not apply to them.
  shared: []

# The Okta organisations that may ask. ` + "`gatepost org add NAME --metadata FILE`" + ` and
# ` + "`gatepost client add NAME --redirect-uri URL`" + ` add one without touching this file.
relying_parties: []
# - name: acme
#   saml: { metadata: acme-sp.xml }   # the service provider's metadata, from Okta
#   use: posture                      # posture, factor (an IdP authenticator), or both
#   policy: default
#   sign: both                        # both, assertion or response
#   encrypt: false                    # true: to the key in the metadata
#   on_unmanaged: refuse              # refuse, or assert with IsManaged = false
#   on_noncompliant: assert           # assert with IsCompliant = false, explain to the user first, or refuse
#   bind_owner: off                   # a device of somebody else: off, warn or enforce
# - name: acme-oidc
#   oidc:                             # OpenID Connect instead of SAML
#     client_id: okta
#     client_secret_file: okta.secret # mode 0600; and/or jwks_file: okta.jwks.json
#     redirect_uris: [https://acme.okta.com/oauth2/v1/authorize/callback]

# Decisions, changes and what happened to devices (` + "`gatepost log`" + `). Without keep
# everything is kept.
# log: { keep: 400d }

policies:
  default:
    # How long what an import or an administrator said is believed. When the
    # last import that named a device is older than this, the device is stale:
    # it is answered for as if it were not managed, until the next import names
    # it. So import more often than this, and let one import fail without harm.
    managed_max_age: 168h   # 7 days
    # What makes a device compliant. Without any of it, that an import says so.
    # baselines: [disk-encryption, firewall, screen-lock]   # see "gatepost policy baselines"
    # os_version: { macOS: "14.7", Windows: "10.0.22631" }
    # rules:
    # - name: updates
    #   require: int(facts.PendingSecurityUpdates) < 5      # docs/policies.md
    #   grace: 72h
    #   help: Install the updates that wait.
`
