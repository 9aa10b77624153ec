package collect

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/yusufpapurcu/wmi"
	system "golang.org/x/sys/windows"
	keys "golang.org/x/sys/windows/registry"
)

// New gives the collector of this system. Run as the system's own account or by
// an administrator, it finds out more.
func New(now func() time.Time) *Collector {
	w := &windows{registry: hives{}, instances: newInstances(), run: runProgram, now: now}
	w.system32, _ = system.GetSystemDirectory() // without it there is no PowerShell, which says so
	return &Collector{probes: w.probes()}
}

// apart has nothing to do: what is run here has no children.
func apart(*exec.Cmd) {}

// newInstances gives the query by WMI. It cannot be interrupted: when one hangs,
// the next do not begin, so at most one is left behind.
func newInstances() instances {
	client := &wmi.Client{PtrNil: true, AllowMissingFields: true}
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, namespace, query string, into any) error {
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("WMI is busy: %w", ctx.Err())
		}
		answer := make(chan error, 1)
		rows := reflect.New(reflect.TypeOf(into).Elem()) // not into, which is the caller's again when time is up
		go func() {
			defer func() { <-turn }()
			answer <- client.Query(query, rows.Interface(), nil, namespace)
		}()
		select {
		case err := <-answer:
			if err != nil {
				return fmt.Errorf("WMI: %w", err)
			}
			reflect.ValueOf(into).Elem().Set(rows.Elem())
			return nil
		case <-ctx.Done():
			return fmt.Errorf("WMI: %w", ctx.Err())
		}
	}
}

// hives are the registry's.
type hives struct{}

func open(key string, access uint32) (keys.Key, error) {
	root, rest, _ := strings.Cut(key, `\`)
	of, known := map[string]keys.Key{"HKLM": keys.LOCAL_MACHINE, "HKU": keys.USERS}[root]
	if !known {
		return 0, fmt.Errorf("no hive %q", root)
	}
	opened, err := keys.OpenKey(of, rest, access|keys.WOW64_64KEY)
	if err != nil { // ERROR_FILE_NOT_FOUND is fs.ErrNotExist
		err = fmt.Errorf("%s: %w", key, err)
	}
	return opened, err
}

func (hives) value(key, name string) (string, error) {
	opened, err := open(key, keys.QUERY_VALUE)
	if err != nil {
		return "", err
	}
	defer opened.Close()
	text, _, err := opened.GetStringValue(name)
	if errors.Is(err, keys.ErrUnexpectedType) {
		var n uint64
		n, _, err = opened.GetIntegerValue(name)
		text = strconv.FormatUint(n, 10)
	}
	if err != nil {
		err = fmt.Errorf("%s, %s: %w", key, name, err)
	}
	return text, err
}

func (hives) subkeys(key string) ([]string, error) {
	opened, err := open(key, keys.ENUMERATE_SUB_KEYS)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	return opened.ReadSubKeyNames(-1)
}
