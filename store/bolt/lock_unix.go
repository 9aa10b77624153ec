//go:build !windows && !plan9 && !solaris && !aix && !wasip1 && !js

package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockEvery is how long to wait between two attempts to lock a file.
const lockEvery = 50 * time.Millisecond

// lock takes the lock that bbolt takes too, before the file is checked: only
// then does nobody write to it meanwhile.
func lock(f *os.File, timeout time.Duration) error {
	give := time.NewTimer(timeout)
	defer give.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		select {
		case <-give.C:
			return inUse(f)
		case <-time.After(lockEvery):
		}
	}
}

// inUse says which process has the file open, where the system tells.
func inUse(f *os.File) error {
	if info, err := f.Stat(); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			if locks, err := os.ReadFile("/proc/locks"); err == nil {
				if pid, ok := lockHolder(locks, uint64(stat.Ino)); ok {
					return fmt.Errorf("%w (PID %d); stop that process first", ErrInUse, pid)
				}
			}
		}
	}
	return fmt.Errorf("%w; stop that process first", ErrInUse)
}

// syncFolder makes the name of a new file as durable as its content.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
