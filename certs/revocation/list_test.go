package revocation

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

// extended adds an extension to a list.
func extended(id asn1.ObjectIdentifier, critical bool, value []byte) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: value})
	}
}

// point is the extension issuingDistributionPoint of these elements.
func point(elements ...[]byte) func(*x509.RevocationList) {
	var all []byte
	for _, e := range elements {
		all = append(all, e...)
	}
	return extended(oidDistributionPoint, true, tlv(0x30, all))
}

func tlv(tag byte, value []byte) []byte {
	if len(value) > 127 {
		panic("long")
	}
	return append([]byte{tag, byte(len(value))}, value...)
}

// uriPoint is distributionPoint with a full name of one URI.
func uriPoint(uri string) []byte { return tlv(0xa0, tlv(0xa0, tlv(0x86, []byte(uri)))) }

var (
	onlyUsers       = tlv(0x81, []byte{0xff})
	onlyAuthorities = tlv(0x82, []byte{0xff})
)

func distributed(uris ...string) change {
	return func(c *x509.Certificate) { c.CRLDistributionPoints = uris }
}

func TestParseList(t *testing.T) {
	t.Parallel()
	corp := newAuthority("Corp")
	lost, kept := corp.leaf(), corp.leaf()
	for name, data := range map[string][]byte{
		"DER":        corp.list([]*x509.Certificate{lost}),
		"PEM":        inPEM(corp.list([]*x509.Certificate{lost})),
		"PEM, text":  append([]byte("Certificate Revocation List:\n"), inPEM(corp.list([]*x509.Certificate{lost}))...),
		"users only": corp.list([]*x509.Certificate{lost}, point(onlyUsers)),
		"unknown extension": corp.list([]*x509.Certificate{lost},
			extended(asn1.ObjectIdentifier{1, 2, 3}, false, []byte{5, 0})),
		"on hold":     corp.list([]*x509.Certificate{lost}, func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = 6 }),
		"named twice": corp.list([]*x509.Certificate{lost, lost}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := ParseList(data, corp.cert, testNow)
			if err != nil {
				t.Fatal(err)
			}
			if !l.Covers(lost) || !l.Revokes(lost) || !l.Covers(kept) || l.Revokes(kept) {
				t.Error("it does not name the lost one, or names the kept one")
			}
			if !l.ThisUpdate.Equal(testNow.Add(-time.Hour)) || !l.NextUpdate.Equal(testNow.Add(day)) || l.Entries == 0 {
				t.Errorf("read as %+v", l)
			}
			if !l.Current(l.NextUpdate) || l.Current(l.NextUpdate.Add(time.Second)) {
				t.Error("is good until another time than its next update")
			}
		})
	}
}

func TestParseListRefuses(t *testing.T) {
	t.Parallel()
	corp, other := newAuthority("Corp"), newAuthority("Other")
	namesake := newAuthority("Corp")
	noCRLs := newAuthority("Corp", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	mayCRLs := issuer{key: noCRLs.key} // the same key, by another certificate
	mayCRLs.cert = mayCRLs.sign(authorityTemplate("Corp"), noCRLs.key.Public(), nil)
	good := corp.list(nil)
	tampered := append([]byte{}, good...)
	tampered[len(tampered)-1] ^= 1
	unknown := asn1.ObjectIdentifier{1, 2, 3}
	for name, v := range map[string]struct {
		data      []byte
		authority issuer
		want      string
	}{
		"empty":                    {nil, corp, "malformed"},
		"no list":                  {corp.cert.Raw, corp, "revocation list: "},
		"a certificate in PEM":     {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: corp.cert.Raw}), corp, `PEM of "CERTIFICATE"`},
		"two lists":                {append(inPEM(good), inPEM(good)...), corp, "more than one PEM block"},
		"bytes behind it":          {append(append([]byte{}, good...), 0), corp, "something behind it"},
		"cut off":                  {good[:len(good)/2], corp, "revocation list: "},
		"too large":                {make([]byte, MaxListBytes+1), corp, "more than 16777216 bytes"},
		"of another authority":     {other.list(nil), corp, `revocation list of "CN=Other", not of "CN=Corp"`},
		"of a namesake":            {namesake.list(nil), corp, "verification"},
		"tampered with":            {tampered, corp, "revocation list: "},
		"of who may not sign them": {mayCRLs.list(nil), noCRLs, "revocation list: "},
		"from the future":          {corp.list(nil, dated(6*time.Minute, day)), corp, "is in the future"},
		"changes only":             {corp.list(nil, extended(oidDeltaCRL, true, []byte{2, 1, 1})), corp, "(delta)"},
		"changes, not critical":    {corp.list(nil, extended(oidDeltaCRL, false, []byte{2, 1, 1})), corp, "(delta)"},
		"unknown extension":        {corp.list(nil, extended(unknown, true, []byte{5, 0})), corp, "unknown critical extension 1.2.3"},
		"indirect":                 {corp.list(nil, point(tlv(0x84, []byte{0xff}))), corp, "(indirect)"},
		"some reasons":             {corp.list(nil, point(tlv(0x83, []byte{6, 0x40}))), corp, "for some reasons"},
		"attribute certificates":   {corp.list(nil, point(tlv(0x85, []byte{0xff}))), corp, "attribute certificates only"},
		"a name that is no URI":    {corp.list(nil, point(tlv(0xa0, tlv(0xa0, tlv(0x82, []byte("a.example")))))), corp, "is no URI"},
		"a relative name":          {corp.list(nil, point(tlv(0xa0, tlv(0xa1, nil)))), corp, "is no URI"},
		"a malformed point":        {corp.list(nil, extended(oidDistributionPoint, true, []byte{1, 2, 3})), corp, "malformed distribution point"},
		"an entry of another authority": {corp.list([]*x509.Certificate{corp.leaf()}, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{5, 0}}}
		}), corp, "an entry with an unknown critical extension 2.5.29.29"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := ParseList(v.data, v.authority.cert, testNow)
			if l != nil || err == nil || !strings.Contains(err.Error(), v.want) {
				t.Errorf("gives %v and error %v, want one with %q", l, err, v.want)
			}
		})
	}
}

func TestListScope(t *testing.T) {
	t.Parallel()
	corp := newAuthority("Corp")
	const one, two = "http://crl.example/1.crl", "http://crl.example/2.crl"
	for name, v := range map[string]struct {
		scope        func(*x509.RevocationList)
		cert         *x509.Certificate
		covers, seen bool
	}{
		"users, a device":           {point(onlyUsers), corp.leaf(), true, true},
		"users, an authority":       {point(onlyUsers), corp.sub("Sub").cert, false, true},
		"authorities, a device":     {point(onlyAuthorities), corp.leaf(), false, true},
		"authorities, an authority": {point(onlyAuthorities), corp.sub("Sub").cert, true, true},
		"its own part":              {point(uriPoint(one)), corp.leaf(distributed(two, one)), true, true},
		"another part":              {point(uriPoint(one)), corp.leaf(distributed(two)), false, true},
		"no part":                   {point(uriPoint(one)), corp.leaf(), false, true},
		"its own part, users":       {point(uriPoint(one), onlyUsers), corp.leaf(distributed(one)), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := ParseList(corp.list([]*x509.Certificate{v.cert}, v.scope), corp.cert, testNow)
			if err != nil {
				t.Fatal(err)
			}
			if l.Covers(v.cert) != v.covers || !l.Revokes(v.cert) {
				t.Errorf("covers: %t, want %t; names it: %t", l.Covers(v.cert), v.covers, l.Revokes(v.cert))
			}
		})
	}
}

func FuzzParseList(f *testing.F) {
	corp := newAuthority("Corp")
	lost := corp.leaf()
	good := corp.list([]*x509.Certificate{lost})
	for _, seed := range [][]byte{
		nil, good, inPEM(good), good[:40], corp.cert.Raw, newAuthority("Corp").list(nil),
		corp.list(nil, point(uriPoint("http://crl.example/1.crl"), onlyUsers)), corp.list(nil, extended(oidDeltaCRL, true, []byte{2, 1, 1})),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseList(data, corp.cert, testNow)
		if (l == nil) == (err == nil) {
			t.Fatalf("gives %v and %v", l, err)
		}
		if l == nil {
			return
		}
		// Only what the authority signed gets here.
		if l.NextUpdate.Before(l.ThisUpdate) || l.ThisUpdate.After(testNow.Add(maxAhead)) {
			t.Fatalf("dates %s to %s", l.ThisUpdate, l.NextUpdate)
		}
		l.Covers(lost)
	})
}

func FuzzScope(f *testing.F) {
	for _, seed := range [][]byte{nil, {0x30, 0}, tlv(0x30, uriPoint("http://crl.example/")), tlv(0x30, onlyUsers), tlv(0x30, tlv(0xa0, tlv(0xa1, nil)))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		s, err := parseScope(der)
		if err != nil && (s.users || s.authorities || s.uris != nil) {
			t.Fatalf("gives %+v beside %v", s, err)
		}
	})
}
