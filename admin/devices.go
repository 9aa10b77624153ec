package admin

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Inventory is what is known of devices.
type Inventory interface {
	Device(ctx context.Context, id string) (posture.Device, error) // posture.ErrNoDevice
	// Devices gives up to limit devices by ID from the one after after on.
	Devices(ctx context.Context, after string, limit int) ([]posture.Device, error)
	Certificates(ctx context.Context, deviceID string) ([]posture.Certificate, error)
}

// Devices lists and shows devices:
//
//	GET devices?after=&limit=&owner=&managed=
//	GET devices/{id}
type Devices struct {
	Inventory Inventory
	Judge     func(d *posture.Device) posture.Verdict // by the default policy, now
	Options   *web.Options
}

// Mount adds the routes to mux.
func (h *Devices) Mount(mux *http.ServeMux) {
	route(mux, h.Options, http.MethodGet, "devices", h.list)
	route(mux, h.Options, http.MethodGet, "devices/{id}", h.show)
}

// maxScanned is how many devices one request looks at: a filter that nothing
// passes must not make it read the whole inventory.
const (
	maxScanned   = 10_000
	filteredPage = 500 // read at once when a filter may drop most of them
)

func (h *Devices) list(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r, "after", "limit", "owner", "managed")
	if err != nil {
		return err
	}
	limit, err := q.number("limit", defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	managed, filter, err := q.truth("managed")
	if err != nil {
		return err
	}
	owner := posture.FoldUser(q.values.Get("owner"))
	list := DeviceList{Devices: []Device{}}
	after := q.values.Get("after")
	size := limit
	if filter || owner != "" {
		size = max(limit, filteredPage)
	}
	for scanned := 0; ; {
		// One more than is looked at tells whether that is all.
		page, err := h.Inventory.Devices(r.Context(), after, size+1)
		if err != nil {
			return fail(fmt.Errorf("list devices: %w", err))
		}
		for i, d := range page[:min(len(page), size)] {
			after = d.ID
			device := h.judge(d)
			if (owner == "" || posture.FoldUser(d.Owner) == owner) && (!filter || device.Verdict.Managed == managed) {
				list.Devices = append(list.Devices, device)
			}
			if len(list.Devices) == limit && i+1 < len(page) {
				list.Next = after
				return web.WriteJSON(w, http.StatusOK, list)
			}
		}
		if len(page) <= size {
			return web.WriteJSON(w, http.StatusOK, list)
		}
		if scanned += size; scanned >= maxScanned {
			list.Next = after
			return web.WriteJSON(w, http.StatusOK, list)
		}
	}
}

func (h *Devices) judge(d posture.Device) Device {
	return Device{Device: d, Verdict: verdictOf(h.Judge(&d))}
}

func verdictOf(v posture.Verdict) Verdict {
	return Verdict{Managed: v.Managed, Compliant: v.Compliant, Reason: v.Reason, Failures: v.Failures}
}

func (h *Devices) show(w http.ResponseWriter, r *http.Request) error {
	id, err := deviceID(r)
	if err != nil {
		return fail(err)
	}
	d, err := h.Inventory.Device(r.Context(), id)
	if err != nil {
		return fail(err)
	}
	device := h.judge(d)
	if device.Certificates, err = h.Inventory.Certificates(r.Context(), id); err != nil {
		return fail(fmt.Errorf("certificates of device %q: %w", id, err))
	}
	return web.WriteJSON(w, http.StatusOK, device)
}

// Issuer is devices.Issuer.
type Issuer interface {
	Issue(ctx context.Context, deviceID string, key crypto.PublicKey, lifetime time.Duration) (*x509.Certificate, error)
}

// Issuing gives devices certificates:
//
//	POST devices/{id}/certificates  {"csr", "lifetime"}
type Issuing struct {
	Issuer    Issuer
	Authority *x509.Certificate // handed out beside what it issued
	Options   *web.Options
}

// Mount adds the routes to mux.
func (h *Issuing) Mount(mux *http.ServeMux) {
	route(mux, h.Options, http.MethodPost, "devices/{id}/certificates", h.issue)
}

func (h *Issuing) issue(w http.ResponseWriter, r *http.Request) error {
	var request certificateRequest
	if err := web.ReadJSON(r, &request); err != nil {
		return err
	}
	id, err := deviceID(r)
	if err != nil {
		return fail(err)
	}
	var lifetime time.Duration
	if request.Lifetime != "" {
		if lifetime, err = time.ParseDuration(request.Lifetime); err != nil || lifetime <= 0 {
			return fail(fmt.Errorf("%w: %.40q; write it as 720h", devices.ErrBadLifetime, request.Lifetime))
		}
	}
	key, err := devices.KeyOfRequest([]byte(request.CSR))
	if err != nil {
		return fail(err)
	}
	cert, err := h.Issuer.Issue(r.Context(), id, key, lifetime)
	if err != nil {
		return fail(err)
	}
	return web.WriteJSON(w, http.StatusCreated, IssuedCertificate{
		Certificate: string(certs.CertificatePEM(cert)),
		Authority:   string(certs.CertificatePEM(h.Authority)),
		Serial:      certs.Serial(cert),
		NotBefore:   cert.NotBefore,
		NotAfter:    cert.NotAfter,
	})
}
