//go:build windows || plan9 || solaris || aix || wasip1 || js

package bolt

import (
	"fmt"
	"os"
	"time"
)

// lock leaves the locking to bbolt.
func lock(*os.File, time.Duration) error { return nil }

func inUse(*os.File) error { return fmt.Errorf("%w; stop that process first", ErrInUse) }

// syncFolder does nothing: here the folder needs no sync of its own, or has none.
func syncFolder(string) error { return nil }
