package admin

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"gatepost.dev/agentapi"
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
	// UpdateDevice lets change change the device, again for a newer one.
	UpdateDevice(ctx context.Context, id string, change func(d *posture.Device, exists bool) error) (posture.Device, error)
}

// Devices lists, shows and changes devices:
//
//	GET   devices?after=&limit=&q=&owner=&os=&managed=&compliant=&state=
//	GET   devices/{id}
//	PATCH devices/{id}  {"owner"}
//
// A device has an ETag, which PATCH takes as If-Match.
type Devices struct {
	Inventory Inventory
	Judge     func(d *posture.Device) posture.Verdict // by the default policy, now
	Now       func() time.Time
}

// Operations are what the API serves by h.
func (h *Devices) Operations() []Operation {
	return []Operation{
		{Method: http.MethodGet, Path: "devices", Role: posture.Viewer, Summary: "Search devices. A page may be shorter than asked for and not be the last.",
			Query: append(paging(), filters...), Answer: typeOf[DeviceList](), serve: h.list},
		{Method: http.MethodGet, Path: "devices/{id}", Role: posture.Viewer, Summary: "Show a device with its verdict and certificates.",
			Answer: typeOf[Device](), Tagged: true, Refusals: []int{http.StatusNotFound}, serve: h.show},
		{Method: http.MethodPatch, Path: "devices/{id}", Role: posture.Operator, Summary: "Change whose device it is, if it is still as it was read (If-Match).",
			Body: typeOf[DeviceChange](), Answer: typeOf[Device](), Tagged: true,
			Refusals: taken(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity), serve: h.change},
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
	device, tag, err := h.read(r.Context(), id)
	if err != nil {
		return fail(err)
	}
	w.Header().Set("ETag", tag)
	if tagIn(r.Header.Values("If-None-Match"), tag, true) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return web.WriteJSON(w, http.StatusOK, device)
}

// read is the device with its certificates, and the tag of both.
func (h *Devices) read(ctx context.Context, id string) (device Device, tag string, err error) {
	d, err := h.Inventory.Device(ctx, id)
	if err != nil {
		return device, "", err
	}
	device = h.judge(d)
	if device.Certificates, err = h.Inventory.Certificates(ctx, id); err != nil {
		return device, "", fmt.Errorf("certificates of device %q: %w", id, err)
	}
	tag, err = tagOf(device)
	return device, tag, err
}

// change writes what the request says into the device if that is still as the
// client read it.
func (h *Devices) change(w http.ResponseWriter, r *http.Request) error {
	var asked DeviceChange
	if err := web.ReadJSON(r, &asked); err != nil {
		return err
	}
	id, err := deviceID(r)
	if err != nil {
		return fail(err)
	}
	if asked.Owner == nil {
		return &web.Error{Status: http.StatusUnprocessableEntity, Reason: "change", Public: "The change names nothing that can be changed: owner is all."}
	}
	if problem := agentapi.CheckText(*asked.Owner); problem != "" {
		return &web.Error{Status: http.StatusUnprocessableEntity, Reason: "change", Public: "owner: " + problem + "."}
	}
	certificates, err := h.Inventory.Certificates(r.Context(), id)
	if err != nil {
		return fail(fmt.Errorf("certificates of device %q: %w", id, err))
	}
	changed, err := h.Inventory.UpdateDevice(r.Context(), id, func(d *posture.Device, exists bool) error {
		switch {
		case !exists:
			return fmt.Errorf("%w: %q", posture.ErrNoDevice, id)
		case d.Retired():
			return fmt.Errorf("device %q: %w", id, posture.ErrRetired)
		}
		if err := h.unchanged(r.Header.Values("If-Match"), *d, certificates); err != nil {
			return err
		}
		d.Owner, d.UpdatedAt = *asked.Owner, h.Now()
		return nil
	})
	if err != nil {
		return fail(err)
	}
	device := h.judge(changed)
	device.Certificates = certificates
	tag, err := tagOf(device)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", tag)
	return web.WriteJSON(w, http.StatusOK, device)
}

// unchanged refuses if the client names tags of the device of which none is that
// of now.
func (h *Devices) unchanged(tags []string, d posture.Device, certificates []posture.Certificate) error {
	if len(tags) == 0 {
		return nil
	}
	device := h.judge(d)
	device.Certificates = certificates
	tag, err := tagOf(device)
	if err != nil {
		return err
	}
	if !tagIn(tags, tag, false) {
		return &web.Error{Status: http.StatusPreconditionFailed, Reason: "changed_meanwhile", Public: "The device is not any more as it was read; read it again."}
	}
	return nil
}

// Issuer is devices.Issuer.
type Issuer interface {
	Issue(ctx context.Context, deviceID string, key crypto.PublicKey, rank posture.Rank, lifetime time.Duration) (*x509.Certificate, error)
}

// Issuing gives devices certificates:
//
//	POST devices/{id}/certificates  {"csr", "lifetime", "rank"}
type Issuing struct {
	Issuer    Issuer
	Authority *x509.Certificate // handed out beside what it issued
}

// Operations are what the API serves by h.
func (h *Issuing) Operations() []Operation {
	return []Operation{
		{Method: http.MethodPost, Path: "devices/{id}/certificates", Role: posture.Operator, Summary: "Issue a client certificate for the key of a certificate request.",
			Body: typeOf[certificateRequest](), Answer: typeOf[IssuedCertificate](), Created: true,
			Refusals: taken(http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity), serve: h.issue},
	}
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
	rank := cmp.Or(request.Rank, posture.RankImported)
	if rank != posture.RankImported && rank != posture.RankSoftware && rank != posture.RankHardware {
		return fail(fmt.Errorf("%w: rank %.40q is none of imported, software and hardware", devices.ErrBadRequest, rank))
	}
	cert, err := h.Issuer.Issue(r.Context(), id, key, rank, lifetime)
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
