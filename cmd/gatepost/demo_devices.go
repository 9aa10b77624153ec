package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gatepost.dev/admin"
	"gatepost.dev/certs"
	"gatepost.dev/devices"
)

//go:embed demo/devices.csv
var demoInventory string

// demoDevice is a device of the demo, with what its browser holds.
type demoDevice struct {
	admin.Device
	certificate *tls.Certificate
	p12         []byte
	p12File     string
}

// enrol imports the devices and has a certificate issued for each.
func (d *demo) enrol(ctx context.Context) error {
	var bad []string
	_, err := d.admin.Import(ctx, strings.NewReader(demoInventory), admin.ImportOptions{Format: devices.CSV, Source: "demo"}, func(ev devices.Event) {
		if ev.Bad != nil {
			bad = append(bad, ev.Bad.Error())
		}
	})
	if err != nil {
		return fmt.Errorf("import devices: %w %q", err, bad)
	}
	list, err := d.admin.Devices(ctx, admin.DeviceQuery{})
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	d.password = rand.Text()
	for _, device := range list.Devices {
		enrolled := demoDevice{Device: device, p12File: filepath.Join(d.dir, device.ID+".p12")}
		if err := d.certify(ctx, &enrolled); err != nil {
			return fmt.Errorf("issue certificate for device %q: %w", device.ID, err)
		}
		d.devices = append(d.devices, enrolled)
	}
	return nil
}

// certify makes a key, has a certificate issued for it, and packs both for
// browsers.
func (d *demo) certify(ctx context.Context, device *demoDevice) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	issued, err := requestCertificate(&env{ctx: ctx}, d.admin, device.ID, key, 0)
	if err != nil {
		return err
	}
	certificate, err := parseCertificatePEM(issued.Certificate)
	if err != nil {
		return err
	}
	authority, err := parseCertificatePEM(issued.Authority)
	if err != nil {
		return err
	}
	device.certificate = &tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key, Leaf: certificate}
	if device.p12, err = certs.EncodePKCS12(key, certificate, authority, d.password); err != nil {
		return err
	}
	return os.WriteFile(device.p12File, device.p12, 0o600)
}

// device finds a device of the demo; nil when there is none of that ID.
func (d *demo) device(id string) *demoDevice {
	for i := range d.devices {
		if d.devices[i].ID == id {
			return &d.devices[i]
		}
	}
	return nil
}

// name describes the hardware.
func (d *demoDevice) name() string {
	return fmt.Sprintf("%s %s, %s %s", d.Vendor, d.Model, d.OS, d.OSVersion)
}
