package service

// New is the installer of this system.
func New() Installer { return &Systemd{Run: Exec} }
