package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost.dev/conform"
)

// The benchmarks here start the real server as a process of its own and read
// what CPU the kernel charged it with, so that the client's work is not in the
// figures. RSA-2048 signatures by crypto/rsa are measured between its batches, in
// the same run: read the ratio, not the absolute figures.

// benchServer is a running server with devices.
type benchServer struct {
	cmd      *exec.Cmd
	dir      string
	okta     *conform.Okta
	deviceID string
	client   *http.Client
	ready    time.Duration // from start until it answered
}

// benchDevices is how many devices the benchmarks have. The million takes a
// minute to import.
var benchDevices = []int{1_000, 1_000_000}

func startBenchServer(b *testing.B, devices int, sign string, edits ...string) *benchServer {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "data")
	port := freePort(b)
	gatepost(b, "init", "--issuer", "https://localhost:"+port, "--device-url", "https://127.0.0.1:"+port, "--data", dir, "--trial-tls")
	config := filepath.Join(dir, "gatepost.yaml")
	replaceInFile(b, config, `":`+port+`"`, `"127.0.0.1:`+port+`"`, `"127.0.0.1:9090"`, `"127.0.0.1:0"`)
	replaceInFile(b, config, edits...)
	oktaDir := filepath.Join(b.TempDir(), "okta")
	if err := oktaInit(oktaDir); err != nil {
		b.Fatal(err)
	}
	gatepost(b, "org", "add", "acme", "--metadata", filepath.Join(oktaDir, "metadata.xml"), "--sign", sign, "-c", config)
	gatepost(b, "device", "import", benchCSV(b, devices), "-c", config)
	id := fmt.Sprintf("device-%07d", devices/2)
	pem := filepath.Join(dir, "device.pem")
	gatepost(b, "device", "certificate", id, "--out", pem, "-c", config)

	s := &benchServer{dir: dir, deviceID: id}
	s.start(b, config, port)
	var err error
	if s.client, err = deviceClient(pem); err != nil {
		b.Fatal(err)
	}
	resp, err := s.client.Get("https://localhost:" + port + "/saml/metadata")
	if err != nil {
		b.Fatal(err)
	}
	metadata, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		b.Fatal(err)
	}
	if s.okta, err = openOkta(oktaDir, metadata); err != nil {
		b.Fatal(err)
	}
	return s
}

// start runs "gatepost serve" and waits for its first answer.
func (s *benchServer) start(b *testing.B, config, port string) {
	b.Helper()
	log, err := os.Create(filepath.Join(s.dir, "server.log"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	s.cmd = program(b.Context(), "serve", "-c", config)
	s.cmd.Stderr = log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	if err := s.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.cmd.Process.Signal(syscall.SIGTERM); s.cmd.Wait() })
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		b.Fatalf("the server did not start: %q %v", line, err)
	}
	s.ready = time.Since(begun)
}

// program is this test binary as gatepost.
func program(ctx context.Context, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = "gatepost"
	// Only a test profiles its memory; the program itself does not.
	cmd.Env = append(os.Environ(), "GODEBUG=memprofilerate=0,"+os.Getenv("GODEBUG"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd
}

func gatepost(b *testing.B, args ...string) {
	b.Helper()
	if out, err := program(b.Context(), args...).CombinedOutput(); err != nil {
		b.Fatalf("gatepost %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func freePort(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func replaceInFile(b *testing.B, path string, oldnew ...string) {
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.NewReplacer(oldnew...).Replace(string(text))), 0o600); err != nil {
		b.Fatal(err)
	}
}

func benchCSV(b *testing.B, devices int) string {
	path := filepath.Join(b.TempDir(), "devices.csv")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "id,serial,vendor,model,os,os_version,owner,managed,compliant,fact.DiskEncrypted,fact.FirewallOn")
	for i := range devices {
		fmt.Fprintf(w, "device-%07d,C02%07d,Apple,\"Mac15,3\",macOS,15.5,user%d@example.com,true,true,true,true\n", i, i, i)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

// cpu is what the server's process has used, user and system.
func (s *benchServer) cpu(b *testing.B) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	// Past the command's name, which may hold spaces: fields 14 and 15 of
	// proc(5), in ticks of 10 ms.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// anonymous is the server's resident memory without file pages, in MiB.
func (s *benchServer) anonymous(b *testing.B) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return float64(kib) / 1024
}

// bareSignature is the CPU of one RSA-2048 signature in this process, on all
// cores at once, as the server makes them.
func bareSignature(b *testing.B, n int) time.Duration {
	key := benchKey()
	sum := sha256.Sum256([]byte("x"))
	before := ownCPU(b)
	workers := runtime.GOMAXPROCS(0)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range n / workers {
				if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	return (ownCPU(b) - before) / time.Duration(n/workers*workers)
}

var benchKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// requests makes n signed requests.
func (s *benchServer) requests(b *testing.B, n int) []string {
	urls := make([]string, n)
	for i := range urls {
		r, err := s.okta.Request(conform.RequestOptions{Binding: conform.Redirect, Subject: "user@example.com"})
		if err != nil {
			b.Fatal(err)
		}
		urls[i] = r.URL
	}
	return urls
}

// signIn sends the requests, 64 at a time over connections that stay open,
// and lets Okta judge one answer. The client does little besides: the cores are
// the server's.
func (s *benchServer) signIn(b *testing.B, urls []string) {
	const clients = 64
	var group sync.WaitGroup
	answers := make([][]byte, clients)
	for i := range clients {
		group.Go(func() {
			for j := i; j < len(urls); j += clients {
				resp, err := s.client.Get(urls[j])
				if err != nil {
					b.Error(err)
					return
				}
				answers[i], err = io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Errorf("%s: %v\n%s", resp.Status, err, answers[i])
					return
				}
			}
		})
	}
	group.Wait()
	in, err := s.okta.Receive(answerFields(answers[0]))
	if err != nil || !in.Managed || in.Device.ID != s.deviceID {
		b.Fatalf("Okta says %+v, %v", in, err)
	}
}

// BenchmarkSignIn is one complete sign-in: TLS keep-alive, client certificate,
// signed request, decision recorded, answer signed. An operation is a batch
// of eight hundred.
func BenchmarkSignIn(b *testing.B) {
	for _, devices := range benchDevices {
		for _, sign := range []string{"assertion", "both"} {
			b.Run(fmt.Sprintf("devices=%d/sign=%s", devices, sign), func(b *testing.B) { benchSignIns(b, devices, sign) })
		}
	}
	// Twenty rules that hold, such as real policies have.
	rules := `managed_max_age: 168h
    os_version: { macOS: "14.0", Linux: "1" }
    facts: { IsManaged: "true", IsCompliant: "true" }
    rules:
`
	for i := range 17 {
		rules += fmt.Sprintf("      - { name: rule-%d, require: '%s' }\n", i, []string{
			`facts.IsManaged == "true"`, `!has(facts.Missing) || int(facts.Missing) < 5`, `owner != "" || device.vendor != "x"`, `age.IsManaged < duration("24h") && source.IsManaged == "import"`,
		}[i%4])
	}
	b.Run("devices=1000/sign=assertion/rules=20", func(b *testing.B) { benchSignIns(b, 1000, "assertion", "managed_max_age: 168h", rules) })
}

func benchSignIns(b *testing.B, devices int, sign string, edits ...string) {
	const batch = 800
	s := startBenchServer(b, devices, sign, edits...)
	s.signIn(b, s.requests(b, batch))
	var server, bare time.Duration
	n := 0
	for b.Loop() {
		urls := s.requests(b, batch)
		bare += bareSignature(b, batch)
		before := s.cpu(b)
		s.signIn(b, urls)
		server += s.cpu(b) - before
		n++
	}
	perSignIn, perBare := server/time.Duration(n*batch), bare/time.Duration(n)
	b.ReportMetric(float64(perSignIn.Microseconds()), "server-cpu-µs/sign-in")
	b.ReportMetric(float64(perBare.Microseconds()), "bare-rsa-µs")
	b.ReportMetric(float64(perSignIn)/float64(perBare), "bare-rsa/sign-in")
	b.ReportMetric(s.anonymous(b), "server-anon-MiB")
	b.ReportMetric(float64(s.ready.Milliseconds()), "ready-ms")
}
