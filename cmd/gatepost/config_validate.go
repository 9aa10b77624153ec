package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gatepost.dev/certs/revocation"
	"gatepost.dev/posture"
	"gatepost.dev/posture/rules"
)

const (
	defaultOps    = "127.0.0.1:9090"
	defaultPolicy = "default"
	idFromURI     = "uri"
	matchID       = "id"
	matchSerial   = "serial"

	lifetimeDefault = 90 * 24 * time.Hour
	lifetimeMin     = time.Hour
	lifetimeMax     = 398 * 24 * time.Hour

	// sun_path has 104 bytes on macOS and the BSDs and 108 on Linux, with the
	// final NUL.
	maxSocketPath = 103

	exampleURL     = "https://posture.example.com"
	exampleStorage = "bolt:/var/lib/gatepost/gatepost.db"
)

// setDefaults fills in what is not written.
func (c *Config) setDefaults() {
	set := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	set(&c.DeviceURL, c.Issuer)
	set(&c.Listen.HTTPS, ":"+port(c.Issuer))
	set(&c.Listen.Ops, defaultOps)
	set(&c.Signing.Keys, "keys")
	set(&c.Devices.Authority.Certificate, "device-ca.crt")
	set(&c.Devices.Authority.Key, "device-ca.key")
	for i := range c.Devices.Authorities {
		set(&c.Devices.Authorities[i].OCSP, revocation.OCSPOff)
		set(&c.Devices.Authorities[i].Match, matchID)
		set(&c.Devices.Authorities[i].Rank, string(posture.RankSoftware))
	}
	if !c.written("devices.certificate_lifetime") {
		c.Devices.CertificateLifetime = lifetimeDefault
	}
	if !c.written("devices.agent_port") {
		c.Devices.AgentPort = agentPortDefault
	}
	c.Devices.Reports.setDefaults(c.written)
	c.Devices.ACME.setDefaults(c.written)
	c.Tracing.setDefaults(c.written)
	for i := range c.RelyingParties {
		rp := &c.RelyingParties[i]
		set(&rp.Policy, defaultPolicy)
		if path := fmt.Sprintf("relying_parties[%d].oidc", i); c.written(path) {
			rp.OIDC.setDefaults(c.written(path + ".iss_parameter"))
		} else {
			set(&rp.Sign, "both")
			set(&rp.Use, usePosture)
		}
		set(&rp.OnUnmanaged, "refuse")
		set(&rp.OnNoncompliant, "assert")
		rp.BindOwner = ownerBinding(string(rp.BindOwner))
	}
	if c.Policies == nil {
		c.Policies = map[string]Policy{}
	}
	if _, ok := c.Policies[defaultPolicy]; !ok {
		c.Policies[defaultPolicy] = Policy{}
	}
	for name, p := range c.Policies {
		if !c.written("policies." + name + ".managed_max_age") {
			p.ManagedMaxAge = posture.DefaultMaxAge
		}
		if !c.written("policies." + name + ".max_age") {
			p.MaxAge = rules.DefaultMaxAge
		}
		c.Policies[name] = p
	}
}

func (c *Config) written(path string) bool {
	_, ok := c.lines[path]
	return ok
}

// resolve makes every path absolute.
func (c *Config) resolve(dir string) {
	abs := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	for i := range c.TLS {
		abs(&c.TLS[i].Cert)
		abs(&c.TLS[i].Key)
	}
	if path, ok := strings.CutPrefix(c.Storage, storageBolt); ok {
		abs(&path)
		c.Storage = storageBolt + path
	}
	abs(&c.Signing.Keys)
	abs(&c.Signing.ES256Keys)
	abs(&c.Devices.Authority.Certificate)
	abs(&c.Devices.Authority.Key)
	for i := range c.Devices.Authorities {
		a := &c.Devices.Authorities[i]
		abs(&a.Certificate)
		for j := range a.CRL {
			if !strings.Contains(a.CRL[j], "://") {
				abs(&a.CRL[j])
			}
		}
	}
	for i := range c.Devices.Attestation.TPMRoots {
		abs(&c.Devices.Attestation.TPMRoots[i])
	}
	for i := range c.Devices.Attestation.AppleRoots {
		abs(&c.Devices.Attestation.AppleRoots[i])
	}
	abs(&c.Devices.Attestation.AndroidStatus)
	abs(&c.Tracing.HeadersFile)
	abs(&c.Devices.SCEP.StaticChallengeFile)
	for i := range c.RelyingParties {
		abs(&c.RelyingParties[i].SAML.Metadata)
		abs(&c.RelyingParties[i].OIDC.ClientSecretFile)
		abs(&c.RelyingParties[i].OIDC.JWKSFile)
	}
}

// validate finds the faults of the values.
func (c *Config) validate(f *findings) {
	c.validateURLs(f)
	c.validateListen(f)
	if len(c.TLS) == 0 && !f.faulty("tls") {
		problem := missing
		if f.written("tls") {
			problem = "holds no certificate"
		}
		f.add("tls", problem, "write tls: and below it - { cert: tls.crt, key: tls.key }")
	}
	for i, pair := range c.TLS {
		path := fmt.Sprintf("tls[%d]", i)
		require(f, path+".cert", pair.Cert, "write cert: and the path of the certificate")
		require(f, path+".key", pair.Key, "write key: and the path of its private key")
	}
	c.validateStorage(f)
	c.validateDevices(f)
	c.validateParties(f)
	c.validatePolicies(f)
	c.Tracing.validate(f)
}

func (c *Config) validateURLs(f *findings) {
	if require(f, "issuer", c.Issuer, "write issuer: "+exampleURL) {
		validateURL(f, "issuer", c.Issuer)
	}
	if c.DeviceURL == "" || c.DeviceURL == c.Issuer {
		return
	}
	validateURL(f, "device_url", c.DeviceURL)
	if c.Issuer == "" || f.faulty("issuer") || f.faulty("device_url") {
		return
	}
	issuer, device := c.IssuerHost(), c.DeviceHost()
	switch {
	case issuer == device:
		f.add("device_url", quote(c.DeviceURL)+" has the host of issuer but is not equal to it",
			"give it a host of its own, or delete it")
	case isIP(issuer) && isIP(device):
		// RFC 6066 section 3: no SNI for addresses, so nothing tells them apart.
		f.add("device_url", "is an IP address as issuer is, and clients do not say which address they mean",
			"give one of them a host name")
	}
}

func (c *Config) validateListen(f *findings) {
	_, httpsPort, ok1 := validateAddress(f, "listen.https", c.Listen.HTTPS, ":443")
	opsHost, opsPort, ok2 := validateAddress(f, "listen.ops", c.Listen.Ops, defaultOps)
	if !ok1 || !ok2 {
		return
	}
	if httpsPort == opsPort && httpsPort != 0 {
		f.add("listen.ops", fmt.Sprintf("has port %d, as listen.https has", opsPort), "choose another port")
	}
	ip, err := netip.ParseAddr(opsHost)
	if opsHost != "localhost" && (err != nil || !ip.IsLoopback()) {
		f.warn("listen.ops", quote(c.Listen.Ops)+" lets other machines read health and metrics without sign-in",
			"write 127.0.0.1:"+strconv.Itoa(opsPort)+", or see that a firewall is before it")
	}
}

func (c *Config) validateStorage(f *findings) {
	if !require(f, "storage", c.Storage, "write storage: "+exampleStorage) {
		return
	}
	path, bolt := strings.CutPrefix(c.Storage, storageBolt)
	socket := c.SocketPath()
	switch {
	case strings.HasPrefix(c.Storage, "etcd:"):
		f.add("storage", quote(c.Storage)+" is not in this version", "write "+exampleStorage)
	case !bolt && !strings.Contains(c.Storage, ":"):
		f.add("storage", quote(c.Storage)+" does not say what kind of storage it is", "write bolt:"+c.Storage)
	case !bolt:
		f.add("storage", quote(c.Storage)+" is not known", "write bolt: and a path, such as "+exampleStorage)
	case path == "" || strings.HasPrefix(path, "//") || strings.HasSuffix(path, "/"):
		f.add("storage", quote(c.Storage)+" names no file", "write bolt: and a path, such as "+exampleStorage)
	case len(socket) > maxSocketPath:
		f.add("storage", fmt.Sprintf("makes the path of the socket %d bytes long: %s", len(socket), quote(socket)),
			fmt.Sprintf("choose a folder with which it has at most %d", maxSocketPath))
	}
}

func (c *Config) validateDevices(f *findings) {
	c.validateProxy(f)
	if l := c.Devices.CertificateLifetime; (l < lifetimeMin || l > lifetimeMax) && !f.faulty("devices.certificate_lifetime") {
		f.add("devices.certificate_lifetime", fmt.Sprintf("%q is out of range", l),
			"write 1h to 9552h (398 days), such as 2160h for 90 days")
	}
	c.validateShared(f)
	c.Devices.Reports.validate(f)
	if port := c.Devices.AgentPort; (port < 1024 || port > 65535) && !f.faulty("devices.agent_port") {
		f.add("devices.agent_port", fmt.Sprintf("%d is out of range", port), "write 1024 to 65535, such as 21717")
	}
	c.Devices.SCEP.validate(f)
	c.Devices.Attestation.validate(f)
	c.Devices.ACME.validate(f)
	first := map[string]string{}
	for i, a := range c.Devices.Authorities {
		path := fmt.Sprintf("devices.authorities[%d]", i)
		if require(f, path+".certificate", a.Certificate, "write certificate: and the path of the authority's certificate") {
			other, again := first[a.Certificate]
			if again {
				f.add(path+".certificate", "is the same file as "+other, "delete one, or two parts would be the device's ID")
			}
			first[a.Certificate] = path
			if a.Certificate == c.Devices.Authority.Certificate && a.IDFrom != idFromURI && a.IDFrom != "" {
				f.add(path+".id_from", "is "+quote(a.IDFrom)+" for the built-in authority, which names the device by uri",
					"write uri, or delete the item: that authority is always there")
			}
		}
		if require(f, path+".id_from", a.IDFrom, "write id_from: and one of uri, dns, cn or serial") {
			oneOf(f, path+".id_from", a.IDFrom, idFromURI, "dns", "cn", "serial")
		}
		if !f.faulty(path + ".match") {
			oneOf(f, path+".match", a.Match, matchID, matchSerial)
		}
		if !f.faulty(path + ".rank") {
			oneOf(f, path+".rank", a.Rank, ranksFrom(posture.RankImported)...)
		}
		if a.Certificate == c.Devices.Authority.Certificate && a.Match == matchSerial {
			f.add(path+".match", "is serial for the built-in authority, which names the device by its ID", "write id, or delete the item: that authority is always there")
		}
		c.validateRevocation(f, path, a)
	}
}
