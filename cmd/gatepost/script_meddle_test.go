package main

import (
	"context"

	"github.com/rogpeppe/go-internal/testscript"

	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

// scriptMeddle changes one bit in the middle of a record.
func scriptMeddle(ts *testscript.TestScript, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: meddle STORE KEY")
	}
	db, err := bolt.Open(ts.MkAbs(args[0]), bolt.Options{})
	ts.Check(err)
	e, err := db.Get(context.Background(), args[1])
	ts.Check(err)
	e.Value[len(e.Value)/2] ^= 1
	ts.Check(db.Commit(context.Background(), store.Op{Kind: store.Put, Key: e.Key, Value: e.Value, Rev: e.Rev}))
	ts.Check(db.Close())
}
