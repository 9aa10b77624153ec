package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

// fullKV is a store whose disk is full as soon as devices are to be written.
type fullKV struct{ store.KV }

func (f fullKV) Commit(ctx context.Context, ops ...store.Op) error {
	for _, op := range ops {
		if op.Kind == store.Put && strings.HasPrefix(op.Key, "device/") {
			return fmt.Errorf("write store file: %w", syscall.ENOSPC)
		}
	}
	return f.KV.Commit(ctx, ops...)
}

// TestInterruptedImportIsFinished: an import that was taken when the disk was
// full is written to its end by the next server, beside its sign-ins.
func TestInterruptedImportIsFinished(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	db, err := bolt.Open(filepath.Join(in.dir, "gp", "gatepost.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	im, err := store.New(fullKV{db}).BeginImport(t.Context(), posture.Source{Name: "late", Kind: posture.Import}, time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := im.Stage(t.Context(), []posture.Report{{DeviceID: "late-1"}, {DeviceID: "late-2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := im.Commit(t.Context(), nil); !errors.Is(err, posture.ErrUnfinished) || !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("a full disk: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	server := in.serve(t)
	if err := server.until("the import", func() bool { return strings.Contains(in.gatepost(t, "device", "list"), "late-2") }); err != nil {
		t.Error(err)
	}
	if err := server.stop(os.Interrupt, exitOK); err != nil {
		t.Error(err)
	}
}
