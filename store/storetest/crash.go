package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"gatepost.dev/store"
)

// Variables by which a test binary that runs itself again knows its part.
const (
	crashPart = "GATEPOST_STORETEST_PART"
	crashDir  = "GATEPOST_STORETEST_DIR"
)

// Crash holds an engine to what it acknowledged: a process that writes under
// load is killed (SIGKILL), and the store is opened again and looked at, many
// times over. The test that calls Crash must do nothing before it; open opens
// the store in dir and makes it when it is not there.
func Crash(t *testing.T, open func(dir string) (store.KV, error)) {
	switch part := os.Getenv(crashPart); part {
	case "":
	case "write":
		victim(t, open, writeForEver)
	case "import":
		victim(t, open, importRows)
	case "grant":
		victim(t, open, redeemForEver)
	default:
		t.Fatalf("%s=%q", crashPart, part)
	}
	t.Run("Commits", func(t *testing.T) { crashCommits(t, open) })
	t.Run("Import", func(t *testing.T) { crashImport(t, open) })
	t.Run("Grants", func(t *testing.T) { crashGrants(t, open) })
}

// victim is the life of the process that will be killed.
func victim(t *testing.T, open func(dir string) (store.KV, error), work func(store.KV) error) {
	kv, err := open(os.Getenv(crashDir))
	if err == nil {
		err = work(kv)
	}
	t.Fatalf("the victim survived: %v", err)
}

// runVictim runs this test again in a process of its own with the part, hands
// its acknowledgements to seen, line by line, and kills it when seen says so.
// What it acknowledged before it died is handed over too.
func runVictim(t *testing.T, part, dir string, seen func(ack string) (kill bool)) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+name+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), crashPart+"="+part, crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		ack, ok := strings.CutPrefix(lines.Text(), "ack ")
		if !ok {
			said = append(said, lines.Text())
			continue
		}
		if seen(ack) && !killed {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); !killed {
		t.Fatalf("the victim ended by itself: %v\n%s", err, strings.Join(said, "\n"))
	}
}

// acknowledge tells the parent, in one write, so that a line is whole or absent.
func acknowledge(format string, args ...any) {
	fmt.Fprintf(os.Stdout, "ack "+format+"\n", args...)
}

const crashWriters, crashWindow = 16, 20

// writeForEver: each writer counts its counter up. With step n it makes item n
// and deletes item n-crashWindow in the same commit, and says so when it is done.
func writeForEver(kv store.KV) error {
	failed := make(chan error)
	for w := range crashWriters {
		go func() {
			n, rev, err := readCounter(kv, w)
			for err == nil {
				n++
				ops := []store.Op{put(counterKey(w), strconv.Itoa(n), rev), put(itemKey(w, n), strings.Repeat("x", n%2000), store.Absent)}
				if n > crashWindow {
					ops = append(ops, del(itemKey(w, n-crashWindow), store.Any))
				}
				if err = kv.Commit(context.Background(), ops...); err == nil {
					acknowledge("%d %d", w, n)
					_, rev, err = readCounter(kv, w)
				}
			}
			failed <- err
		}()
	}
	return <-failed
}

func counterKey(w int) string { return fmt.Sprintf("counter/%d", w) }
func itemKey(w, n int) string { return fmt.Sprintf("item/%d/%08d", w, n) }

func readCounter(kv store.KV, w int) (n int, rev uint64, err error) {
	e, err := kv.Get(context.Background(), counterKey(w))
	if errors.Is(err, store.ErrNoKey) {
		return 0, store.Absent, nil
	}
	if err != nil {
		return 0, 0, err
	}
	n, err = strconv.Atoi(string(e.Value))
	return n, e.Rev, err
}

func crashCommits(t *testing.T, open func(dir string) (store.KV, error)) {
	cycles := 20
	if testing.Short() {
		cycles = 5
	}
	dir := t.TempDir()
	var acknowledged [crashWriters]int
	revs := map[string]int{}
	for cycle := range cycles {
		acks, limit := 0, 1+cycle*cycle*3
		runVictim(t, "write", dir, func(ack string) bool {
			var w, n int
			if _, err := fmt.Sscanf(ack, "%d %d", &w, &n); err != nil {
				t.Fatalf("%q: %v", ack, err)
			}
			if n != acknowledged[w]+1 {
				t.Errorf("cycle %d: writer %d went from %d to %d", cycle, w, acknowledged[w], n)
			}
			acknowledged[w] = n
			acks++
			return acks >= limit
		})
		kv, err := open(dir)
		if err != nil {
			t.Fatalf("cycle %d: open after the crash: %v", cycle, err)
		}
		for w := range crashWriters {
			acknowledged[w] = checkWriter(t, kv, w, acknowledged[w], revs)
		}
		if err := kv.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("after cycle %d", cycle)
		}
	}
}

// checkWriter checks that a writer's counter is the acknowledged one or the next,
// that exactly its items are there, and that no revision was given twice. It
// gives the counter, which must not go back either once it was seen.
func checkWriter(t *testing.T, kv store.KV, w, acknowledged int, revs map[string]int) int {
	n, rev, err := readCounter(kv, w)
	if err != nil || n < acknowledged || n > acknowledged+1 {
		t.Errorf("writer %d: counter is %d, acknowledged %d: %v", w, n, acknowledged, err)
		return n
	}
	entries, err := kv.Scan(context.Background(), fmt.Sprintf("item/%d/", w), "", 10*crashWindow)
	if err != nil || len(entries) != min(n, crashWindow) {
		t.Errorf("writer %d: %d items at counter %d: %v", w, len(entries), n, err)
		return n
	}
	for i, e := range entries {
		nth := n - len(entries) + 1 + i
		if e.Key != itemKey(w, nth) || len(e.Value) != nth%2000 {
			t.Errorf("writer %d: item %d of %d is %q with %d bytes", w, i, len(entries), e.Key, len(e.Value))
		}
	}
	if n > 0 {
		stands := fmt.Sprintf("%d at %d", w, rev)
		if was, ok := revs[stands]; ok && was != n {
			t.Errorf("writer %d: revision %d stood for %d, now for %d", w, rev, was, n)
		}
		revs[stands] = n
	}
	return n
}
