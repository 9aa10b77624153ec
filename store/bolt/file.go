package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// openFile opens the file, or makes it with create. The errors of a file that
// is missing or already there match fs.ErrNotExist and fs.ErrExist.
func openFile(path string, create bool) (*os.File, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(path, flags, 0o600)
	var refused *fs.PathError
	if errors.As(err, &refused) {
		err = refused.Err // the path is named below
	}
	switch {
	case create && errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("store file %q: %w; remove it first, or use it as it is", path, err)
	case !create && errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("store file %q: %w; check the configured path, or have a new store created", path, err)
	case err != nil:
		return nil, fmt.Errorf("store file %q: %w", path, err)
	}
	return f, nil
}

// lockHolder finds in the text of Linux's /proc/locks which process holds an
// exclusive flock on the inode. A line reads (proc_locks(5))
//
//	1: FLOCK  ADVISORY  WRITE 4321 fe:00:1310743 0 EOF
//
// and one of a process that waits has "->" behind the number. The device is not
// compared: some file systems give another one here than stat does.
func lockHolder(locks []byte, inode uint64) (pid int, ok bool) {
	for line := range strings.Lines(string(locks)) {
		field := strings.Fields(line)
		if len(field) < 6 || field[1] != "FLOCK" || field[3] != "WRITE" {
			continue
		}
		place := strings.Split(field[5], ":")
		if place[len(place)-1] != strconv.FormatUint(inode, 10) {
			continue
		}
		// 0 or -1 is a process outside this PID namespace.
		if pid, err := strconv.Atoi(field[4]); err == nil && pid > 0 {
			return pid, true
		}
	}
	return 0, false
}
