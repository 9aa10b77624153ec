package service

// New is the installer of this system.
func New() Installer { return &Launchd{Run: Exec} }
