package browser

// firstMacPerson is the first user ID that macOS gives a person.
const firstMacPerson = 501

// New is the installer of this system, for all users. Only root can use it.
func New() Installer {
	return &MacOS{Run: Exec, Users: func() ([]User, error) { return folderOwners("/Users", firstMacPerson) }}
}
