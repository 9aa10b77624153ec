package oidc_test

import (
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/idp/oidc"
)

// BenchmarkBadRequest has the requests that cost most to refuse, whoever sends
// them. Each must stay under 5 ms of CPU and 1 MiB of heap.
func BenchmarkBadRequest(b *testing.B) {
	slow := rpClient()
	slow.Keys = rpKeySet("p521", "rsa", "rsa")
	head := strings.Repeat("A", 10<<10)
	for name, parameters := range map[string]string{
		"parameters": many(63) + "&x=" + strings.Repeat("%41", 4<<10),
		"escapes":    "request=" + strings.Repeat("%41", 16<<10),
		"brackets": form(changed(baseRequest(), fields{"request": jws(`{"alg":"RS256"}`,
			[]byte(`{"x":`+strings.Repeat("[", 9<<10)), func([]byte) []byte { return []byte(head[:256]) })})),
		"members": form(changed(baseRequest(), fields{"client_id": without, "request": jws(`{"alg":"RS256"}`,
			[]byte("{"+strings.TrimSuffix(members(1030), ",")+"}"), func([]byte) []byte { return []byte(head[:256]) })})),
		"foreign": form(changed(baseRequest(), fields{"request": jws(`{"alg":"RS256"}`, []byte(head), withRSA("foreign"))})),
	} {
		b.Run(name, func(b *testing.B) {
			if m, err := oidc.DecodeAuthorization(parameters); outcome(err) == "bad: too_large" {
				b.Fatalf("refused too early: %v, %v", m, err)
			}
			b.ReportAllocs()
			for b.Loop() {
				m, err := oidc.DecodeAuthorization(parameters)
				if err == nil && m.ClientID() != "" {
					_, err = m.Check(slow, provider(), rpNow())
				}
				if err == nil && m.ClientID() != "" {
					b.Fatal("accepted")
				}
			}
		})
	}
	tampered := jwt(b, "ES512", "p521", changed(baseAssertion(), claims{"x": head}))
	unnamed, _, _ := strings.Cut(jws(`{"alg":"ES512"}`, nil, withNothing), ".")
	_, rest, _ := strings.Cut(tampered, ".")
	body := form(changed(baseToken(), fields{"client_id": rpID, "client_assertion": unnamed + "." + rest, "client_assertion_type": bearer}))
	b.Run("assertion", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r, err := oidc.DecodeToken("", "", body)
			if err != nil {
				b.Fatal(err)
			}
			if _, err = r.Authenticate(slow, provider(), rpNow()); outcome(err) != "invalid_client: assertion_signature" {
				b.Fatal(err)
			}
		}
	})
}

// members are that many different members of a JSON object.
func members(n int) string {
	var s strings.Builder
	for i := range n {
		s.WriteString(`"` + string(rune('a'+i%26)) + strings.Repeat("x", i/26%8) + string(rune('\u0100'+i/208)) + `":1,`)
	}
	return s.String()
}

// BenchmarkGoodRequest is what an honest request costs.
func BenchmarkGoodRequest(b *testing.B) {
	c := rpClient()
	for _, alg := range []jose.SignatureAlgorithm{"RS256", "HS256"} {
		key := "rsa"
		if alg == "HS256" {
			key = rpSecret
		}
		parameters := minimal(jwt(b, alg, key, baseObject()))
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := authorize(b, parameters, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
