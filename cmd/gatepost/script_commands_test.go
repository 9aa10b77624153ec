package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gatepost.dev/certs"
)

type scriptCommand = func(*testscript.TestScript, bool, []string)

// scriptCommands are what scripts have beside testscript's own commands. None
// but browse takes a "!".
func scriptCommands() map[string]scriptCommand {
	commands := map[string]scriptCommand{"browse": scriptBrowse}
	for name, do := range map[string]func(ts *testscript.TestScript, args []string){
		// free-port VAR...: sets each variable to a free port on 127.0.0.1.
		"free-port": scriptFreePort,
		// install: makes the installation that is in installation_test.go, with
		// $ISSUER, $DEVICE and $OPS its URLs, and the configuration in
		// $GATEPOST_CONFIG.
		"install": scriptInstall,
		// start NAME PROGRAM ARG...: runs the program in the background, with
		// its output in NAME.stdout and NAME.stderr.
		"start": scriptStart,
		// wait-ready NAME: waits until the server is ready.
		"wait-ready": scriptWaitReady,
		// wait-for NAME stdout|stderr REGEXP [N]: waits until its output
		// matches, N times.
		"wait-for": scriptWaitFor,
		// signal HUP|TERM|INT|KILL NAME
		"signal": scriptSignal,
		// terminate NAME: ends it by SIGTERM, and it must exit with status 0.
		"terminate": func(ts *testscript.TestScript, args []string) {
			ts.Check(scriptBackground(ts, args).stop(syscall.SIGTERM, 0))
		},
		// ended NAME STATUS: it ends by itself, with that status.
		"ended": scriptEnded,
		// status N PROGRAM ARG...: is exec, and the exit status must be N.
		"status": scriptStatus,
		// sedit FILE REGEXP REPLACEMENT: edits the file, which must match.
		"sedit": scriptEdit,
		// overwrite FILE OFFSET TEXT: writes the text over what is there.
		"overwrite": scriptOverwrite,
		// meddle STORE KEY: changes a bit of what the store's file has there.
		"meddle": scriptMeddle,
		// capture VAR REGEXP FILE: sets the variable to what the first group of
		// the first match holds; FILE may be stdout or stderr.
		"capture": scriptCapture,
		// files DIR: prints the names of the files below it, sorted.
		"files": scriptFiles,
		// authenticate URL ID SECRET: redeems a code that is none at the token
		// endpoint, and prints the status and the error of the answer.
		"authenticate": scriptAuthenticate,
		// issue-certificate DEVICE AGE LIFETIME FILE: issues a certificate
		// behind the server's back, by its own authority: AGE ago, for LIFETIME.
		"issue-certificate": scriptIssue,
	} {
		commands[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("%s does not take a !", name)
			}
			do(ts, args)
		}
	}
	return commands
}

// backgrounds is the key of the programs that a script started, by name.
type backgrounds struct{}

func scriptBackground(ts *testscript.TestScript, args []string) *background {
	if len(args) != 1 {
		ts.Fatalf("want the name of a program")
	}
	b := ts.Value(backgrounds{}).(map[string]*background)[args[0]]
	if b == nil {
		ts.Fatalf("no program %q was started", args[0])
	}
	return b
}

func scriptFreePort(ts *testscript.TestScript, args []string) {
	for _, name := range args {
		port, err := claimPort()
		ts.Check(err)
		ts.Setenv(name, port)
	}
}

func scriptInstall(ts *testscript.TestScript, _ []string) {
	in, err := install(ts.MkAbs("."), ts.Exec)
	ts.Check(err)
	ts.Setenv("GATEPOST_CONFIG", in.config)
	ts.Setenv("ISSUER", in.issuer)
	ts.Setenv("DEVICE", strings.Replace(in.issuer, "localhost", "127.0.0.1", 1))
	ts.Setenv("OPS", in.ops)
}

func scriptStart(ts *testscript.TestScript, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: start NAME PROGRAM ARG...")
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "PWD="+cmd.Dir)
	for _, name := range []string{"GATEPOST_CONFIG", "HOME", "TMPDIR"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	running := ts.Value(backgrounds{}).(map[string]*background)
	if former := running[args[0]]; former != nil {
		former.kill()
	}
	b, err := startBackground(cmd, ts.MkAbs(args[0]))
	ts.Check(err)
	running[args[0]] = b
}

// scriptCheck ends the script on an error with what the program wrote.
func scriptCheck(ts *testscript.TestScript, b *background, err error) {
	if err == nil {
		return
	}
	stdout, _ := os.ReadFile(b.stdout)
	stderr, _ := os.ReadFile(b.stderr)
	ts.Fatalf("%v\n[stdout]\n%s\n[stderr]\n%s", err, stdout, stderr)
}

func scriptWaitReady(ts *testscript.TestScript, args []string) {
	b := scriptBackground(ts, args)
	_, err := b.ready()
	scriptCheck(ts, b, err)
}

func scriptWaitFor(ts *testscript.TestScript, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: wait-for NAME stdout|stderr REGEXP [N]")
	}
	b := scriptBackground(ts, args[:1])
	n := 1
	if len(args) > 3 {
		var err error
		n, err = strconv.Atoi(args[3])
		ts.Check(err)
	}
	file := map[string]string{"stdout": b.stdout, "stderr": b.stderr}[args[1]]
	scriptCheck(ts, b, b.says(file, args[2], n))
}

func scriptSignal(ts *testscript.TestScript, args []string) {
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
	if len(args) != 2 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal HUP|TERM|INT|KILL NAME")
	}
	ts.Check(scriptBackground(ts, args[1:]).cmd.Process.Signal(signals[args[0]]))
}

func scriptEnded(ts *testscript.TestScript, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: ended NAME STATUS")
	}
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := scriptBackground(ts, args[:1])
	scriptCheck(ts, b, b.ends(status))
}

func scriptStatus(ts *testscript.TestScript, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func scriptEdit(ts *testscript.TestScript, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: sedit FILE REGEXP REPLACEMENT")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	path, text := ts.MkAbs(args[0]), ts.ReadFile(args[0])
	if !re.MatchString(text) {
		ts.Fatalf("nothing in %s matches %q", args[0], args[1])
	}
	info, err := os.Stat(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, []byte(re.ReplaceAllString(text, args[2])), info.Mode()))
}

func scriptOverwrite(ts *testscript.TestScript, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: overwrite FILE OFFSET TEXT")
	}
	offset, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	file, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	_, err = file.WriteAt([]byte(args[2]), offset)
	ts.Check(errors.Join(err, file.Close()))
}

func scriptCapture(ts *testscript.TestScript, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: capture VAR REGEXP FILE")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	found := re.FindStringSubmatch(ts.ReadFile(args[2]))
	if len(found) < 2 {
		ts.Fatalf("nothing in %s matches %q", args[2], args[1])
	}
	ts.Setenv(args[0], found[1])
}

func scriptFiles(ts *testscript.TestScript, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: files DIR")
	}
	root := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && path != root {
			name, _ := filepath.Rel(root, path)
			fmt.Fprintln(ts.Stdout(), filepath.ToSlash(name))
		}
		return err
	}))
}

func scriptIssue(ts *testscript.TestScript, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: issue-certificate DEVICE AGE LIFETIME FILE")
	}
	age, err1 := time.ParseDuration(args[1])
	lifetime, err2 := time.ParseDuration(args[2])
	authority, err3 := certs.LoadAuthority(ts.MkAbs("gp/device-ca.crt"), ts.MkAbs("gp/device-ca.key"))
	key, err4 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(errors.Join(err1, err2, err3, err4))
	certificate, err := authority.Issue(args[0], key.Public(), time.Now().Add(-age), lifetime)
	ts.Check(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	out := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), out, 0o600))
}

// scriptBrowse makes one HTTP request and prints the answer's body on standard
// output, its status line and headers on standard error. -ca is whom to trust
// instead of anybody. With "!" there must be no answer.
//
//	browse [-method METHOD] [-host HOST] [-cert FILE] [-ca FILE] URL
func scriptBrowse(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("browse", flag.ContinueOnError)
	method := flags.String("method", "GET", "")
	host := flags.String("host", "", "")
	file := flags.String("cert", "", "")
	ca := flags.String("ca", "", "")
	ts.Check(flags.Parse(args))
	var certificate *tls.Certificate
	if *file != "" {
		pair, err := tls.LoadX509KeyPair(ts.MkAbs(*file), ts.MkAbs(*file))
		ts.Check(err)
		certificate = &pair
	}
	var authorities *x509.CertPool
	if *ca != "" {
		authorities = x509.NewCertPool()
		authorities.AppendCertsFromPEM([]byte(ts.ReadFile(*ca)))
	}
	answer, err := browse(webClient(certificate, authorities), *method, flags.Arg(0), *host)
	switch {
	case neg && err == nil:
		ts.Fatalf("there is an answer:\n%s", answer.head)
	case neg:
		fmt.Fprintln(ts.Stderr(), err)
	default:
		ts.Check(err)
		ts.Stdout().Write(answer.body)
		fmt.Fprint(ts.Stderr(), answer.head)
	}
}
