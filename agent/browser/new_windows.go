package browser

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// New is the installer of this system: as SYSTEM for all users who are signed
// in, otherwise for oneself.
func New() Installer {
	return &Windows{Run: Exec, Users: sessions, Registry: localMachine{}}
}

// sessions lists the users who are signed in.
func sessions() ([]User, error) {
	system, err := isSystem()
	if err != nil {
		return nil, err
	}
	if !system {
		return []User{{Name: "this user"}}, nil
	}
	var first *windows.WTS_SESSION_INFO
	var count uint32
	if err := windows.WTSEnumerateSessions(0, 0, 1, &first, &count); err != nil {
		return nil, fmt.Errorf("list who is signed in: %w", err)
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(first)))
	var users []User
	for _, s := range unsafe.Slice(first, count) {
		// Session 0 is the services'; one that is disconnected is still signed in.
		if s.SessionID != 0 && (s.State == windows.WTSActive || s.State == windows.WTSDisconnected) && signedIn(s.SessionID) {
			users = append(users, User{Name: fmt.Sprintf("session %d", s.SessionID), Session: s.SessionID})
		}
	}
	return users, nil
}

// signedIn tells whether a session has a user: the screen where one signs in is
// a session too.
func signedIn(session uint32) bool {
	var token windows.Token
	return windows.WTSQueryUserToken(session, &token) == nil && token.Close() == nil
}

func isSystem() (bool, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return false, err
	}
	system, err := windows.CreateWellKnownSid(windows.WinLocalSystemSid)
	if err != nil {
		return false, err
	}
	return u.User.Sid.Equals(system), nil
}

// localMachine is the Registry.
type localMachine struct{}

func (localMachine) Get(key, name string) (string, bool, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer k.Close()
	value, _, err := k.GetStringValue(name)
	if errors.Is(err, registry.ErrNotExist) {
		return "", false, nil
	}
	return value, err == nil, err
}

func (localMachine) Set(key, name, value string) error {
	k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, key, registry.SET_VALUE)
	if err != nil {
		return err
	}
	return errors.Join(k.SetStringValue(name, value), k.Close())
}

func (localMachine) Delete(key, name string) error {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.SET_VALUE|registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := k.DeleteValue(name); err != nil && !errors.Is(err, registry.ErrNotExist) {
		return errors.Join(err, k.Close())
	}
	info, err := k.Stat()
	if err = errors.Join(err, k.Close()); err != nil || info.ValueCount+info.SubKeyCount > 0 {
		return err
	}
	return registry.DeleteKey(registry.LOCAL_MACHINE, key)
}
