package service

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// New is the installer of this system.
func New() Installer { return &Windows{Control: control{}, Mkdir: mkdir} }

// mkdir makes a folder that only SYSTEM and administrators can look into; below
// ProgramData everybody could.
func mkdir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	// Protected (P): it inherits nothing; what is below inherits from it (OI, CI).
	sd, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)")
	if err != nil {
		return err
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	return windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
}

// control is the Control.
type control struct{}

// with opens the service, unless there is none, for f.
func with(name string, f func(m *mgr.Mgr, s *mgr.Service) error) error {
	m, err := mgr.Connect()
	if err != nil {
		return err
	}
	defer func() { _ = m.Disconnect() }()
	s, err := m.OpenService(name)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return f(m, nil)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	return f(m, s)
}

func (control) Put(d Definition) error {
	return with(d.Name, func(m *mgr.Mgr, s *mgr.Service) error {
		config := mgr.Config{
			StartType: mgr.StartAutomatic, ErrorControl: mgr.ErrorNormal, DisplayName: d.DisplayName, Description: d.Description,
			DelayedAutoStart: true, ServiceType: windows.SERVICE_WIN32_OWN_PROCESS,
		}
		if s == nil {
			created, err := m.CreateService(d.Name, d.Executable, config, d.Args...)
			if err != nil {
				return err
			}
			defer created.Close()
			return recovery(created, d)
		}
		config.BinaryPathName = windows.ComposeCommandLine(append([]string{d.Executable}, d.Args...))
		if err := s.UpdateConfig(config); err != nil {
			return err
		}
		return recovery(s, d)
	})
}

// recovery has Windows start the service again after every failure, an error
// that it returns included.
func recovery(s *mgr.Service, d Definition) error {
	var actions []mgr.RecoveryAction
	for _, delay := range d.Restarts {
		actions = append(actions, mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: delay})
	}
	return errors.Join(s.SetRecoveryActions(actions, uint32(d.Forget.Seconds())), s.SetRecoveryActionsOnNonCrashFailures(true))
}

func (control) Restart(ctx context.Context, name string) error {
	return with(name, func(_ *mgr.Mgr, s *mgr.Service) error {
		if s == nil {
			return windows.ERROR_SERVICE_DOES_NOT_EXIST
		}
		if err := stop(ctx, s); err != nil {
			return err
		}
		return s.Start()
	})
}

func (control) Delete(ctx context.Context, name string) error {
	return with(name, func(_ *mgr.Mgr, s *mgr.Service) error {
		if s == nil {
			return nil
		}
		return errors.Join(stop(ctx, s), s.Delete())
	})
}

func (control) Query(name string) (status Status, err error) {
	err = with(name, func(_ *mgr.Mgr, s *mgr.Service) error {
		if s == nil {
			return nil
		}
		status.Installed = true
		now, err := s.Query()
		status.Running = now.State == svc.Running
		return err
	})
	return status, err
}

// stop stops a service and waits until it has.
func stop(ctx context.Context, s *mgr.Service) error {
	if _, err := s.Control(svc.Stop); err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return err
	}
	for range 80 {
		now, err := s.Query()
		if err != nil || now.State == svc.Stopped {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
	return errors.New("the service does not stop")
}
