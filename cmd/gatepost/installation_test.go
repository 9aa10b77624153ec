package main

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// ports gives out ports on 127.0.0.1. They lie below those that the system takes
// for outgoing connections, one of which could otherwise sit on a port between
// its choice and its use, and no two tests of a run get the same.
var ports struct {
	sync.Mutex
	next int
}

const (
	firstPort = 10_000
	portRange = 20_000
)

func claimPort() (string, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 { // tests of another process should begin elsewhere
		var b [2]byte
		rand.Read(b[:])
		ports.next = int(binary.NativeEndian.Uint16(b[:]))
	}
	for range portRange {
		ports.next++
		port := strconv.Itoa(firstPort + ports.next%portRange)
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			return port, l.Close()
		}
	}
	return "", fmt.Errorf("no port from %d to %d is free", firstPort, firstPort+portRange-1)
}

// testDevices are the devices of an installation: one of each kind.
const testDevices = `id,serial,vendor,model,os,os_version,owner,managed,compliant,fact.DiskEncrypted
mac-1,C02TEST1,Apple,"Mac15,3",macOS,15.5,ann@example.com,true,true,true
win-2,PF3TEST2,Lenovo,21HD,Windows,11,bob@example.com,true,false,false
old-3,,Dell,Latitude,Windows,10,eve@example.com,false,false,
`

// installation is what the script walk makes by hand: an initialised server on
// free ports, which knows an Okta and three devices.
type installation struct {
	dir    string // the server's folder is gp in it, the Okta's is okta
	config string
	issuer string // https://localhost:PORT; devices go to https://127.0.0.1:PORT unless installOn says otherwise
	ops    string // http://127.0.0.1:PORT
}

// install makes the installation in the folder dir. run runs a program in that
// folder and demands its success.
func install(dir string, run func(program string, args ...string) error) (*installation, error) {
	return installOn(dir, "localhost", "127.0.0.1", run)
}

// installOn is install with the hosts of the issuer and of the devices.
func installOn(dir, issuerHost, deviceHost string, run func(program string, args ...string) error) (*installation, error) {
	port, err := claimPort()
	if err != nil {
		return nil, err
	}
	ops, err := claimPort()
	if err != nil {
		return nil, err
	}
	in := &installation{
		dir: dir, config: filepath.Join("gp", "gatepost.yaml"),
		issuer: "https://" + issuerHost + ":" + port, ops: "http://127.0.0.1:" + ops,
	}
	device := "https://" + deviceHost + ":" + port
	if err := run("gatepost", "init", "--issuer", in.issuer, "--device-url", device, "--data", "gp", "--trial-tls"); err != nil {
		return nil, err
	}
	err = editFile(filepath.Join(dir, in.config),
		`https: ":`, `https: "127.0.0.1:`,
		`ops: "127.0.0.1:9090"`, `ops: "127.0.0.1:`+ops+`"`)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "devices.csv"), []byte(testDevices), 0o600); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"okta", "init", "okta"},
		{"gatepost", "org", "add", "acme", "--metadata", "okta/metadata.xml", "-c", in.config},
		{"gatepost", "device", "import", "devices.csv", "-c", in.config},
		{"gatepost", "device", "certificate", "mac-1", "--out", "mac-1.pem", "-c", in.config},
	} {
		if err := run(args[0], args[1:]...); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// editFile replaces text in a file: each old text, which must be there, by the
// new one that follows it.
func editFile(path string, oldnew ...string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(data)
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			return fmt.Errorf("%s does not hold %q", path, oldnew[i])
		}
		text = strings.ReplaceAll(text, oldnew[i], oldnew[i+1])
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// fetchMetadata is the provider's metadata, as an administrator would get it.
func (in *installation) fetchMetadata() ([]byte, error) {
	answer, err := browse(webClient(nil, nil), "GET", in.issuer+"/saml/metadata", "")
	if err != nil {
		return nil, err
	}
	if answer.status != 200 {
		return nil, fmt.Errorf("metadata: status %d", answer.status)
	}
	return answer.body, nil
}
