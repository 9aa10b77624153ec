package main

import (
	"syscall"
	"testing"
)

// TestDevicesBySerial recognises devices by certificates of the company's own
// authority that name the serial number of the hardware.
func TestDevicesBySerial(t *testing.T) {
	t.Parallel()
	in := newCompanyInstallation(t)
	mine, byID, nobodys := in.ca.issue("mine", "c02test1", "device"), in.ca.issue("by-id", "mac-1", "device"), in.ca.issue("nobodys", "C02OTHER", "device")
	in.configure("match: serial")
	in.gatepost(t, "check")
	server := in.start()
	in.want(mine, "managed")
	in.want(byID, "unknown_device") // mac-1 is nobody's serial number
	in.want(nobodys, "unknown_device")

	// Two devices in service with one serial number are none; retired, one of them
	// does not count.
	write(t, in.file("twin.csv"), "id,serial,managed\nmac-2,C02TEST1,true\n")
	in.gatepost(t, "device", "import", "twin.csv", "--source", "twin")
	in.want(mine, "unknown_device")
	in.gatepost(t, "device", "retire", "mac-2")
	in.want(mine, "managed")
	in.gatepost(t, "device", "retire", "mac-1")
	in.want(mine, "revoked_certificate")
	if err := server.stop(syscall.SIGTERM, exitOK); err != nil {
		t.Error(err)
	}
}
