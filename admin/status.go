package admin

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Overview says how the server is:
//
//	GET status
type Overview struct {
	Version   string
	Endpoints Endpoints
	LogKey    ed25519.PublicKey
	StartedAt time.Time
	Now       func() time.Time
	// Counts counts what can be counted at once, without reading the inventory.
	Counts func(ctx context.Context) (map[string]int, error)
}

// Operations are what the API serves by h.
func (h *Overview) Operations() []Operation {
	return []Operation{
		{Method: http.MethodGet, Path: "status", Role: posture.Viewer, Summary: "Say how the server is.", Answer: typeOf[Status](), serve: h.show},
	}
}

func (h *Overview) show(w http.ResponseWriter, r *http.Request) error {
	counts, err := h.Counts(r.Context())
	if err != nil {
		return fail(fmt.Errorf("count records: %w", err))
	}
	return web.WriteJSON(w, http.StatusOK, Status{
		Version:   h.Version,
		StartedAt: h.StartedAt,
		Uptime:    int64(h.Now().Sub(h.StartedAt).Seconds()),
		Counts:    counts,
		Endpoints: h.Endpoints,
		LogKey:    hex.EncodeToString(h.LogKey),
	})
}
