package browser

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Registry is HKEY_LOCAL_MACHINE, as far as it is needed. A key is a path such
// as SOFTWARE\Policies.
type Registry interface {
	// Get reads a string; found is false if there is no such value.
	Get(key, name string) (value string, found bool, err error)
	// Set writes a string, and makes the key if there is none.
	Set(key, name, value string) error
	// Delete deletes a value, and then the key if nothing is in it. It is no error
	// that there is none.
	Delete(key, name string) error
}

// Windows is the browsers of a Windows machine: Edge, Chrome and Brave, and
// Firefox, which looks into the system's store too.
//
// They read the store of the current user, not the machine's, and only that
// user's own processes can write there: SYSTEM reaches the users who are signed
// in. So Install is to be called again from time to time, and a user who is away
// during Remove keeps a certificate that the server should revoke.
//
// Group policy that sets AutoSelectCertificateForUrls itself deletes the values
// that it does not know: then have it set ours as well.
type Windows struct {
	Users    func() ([]User, error) // sessions
	Run      Runner
	Registry Registry
}

// policyValue is the name of our value in lists that others have values in too.
// It has to be a number, which nobody who counts from 1 comes to.
const policyValue = "19876501"

// policyKeys is where the browsers read the policy.
func policyKeys() []string {
	return []string{
		`SOFTWARE\Policies\Google\Chrome\` + policyName,
		`SOFTWARE\Policies\Microsoft\Edge\` + policyName,
		`SOFTWARE\Policies\Chromium\` + policyName,
		`SOFTWARE\Policies\BraveSoftware\Brave\` + policyName,
	}
}

// The scripts. The key reaches the first one by its standard input: arguments
// are for everybody to read, and what a script says itself ends in Windows' log
// of scripts. Without the flag Exportable, Windows does not give the key away
// again. The last line tells that a script came to its end.
const (
	prelude = `$ErrorActionPreference = 'Stop'; $store = 'Cert:\CurrentUser\My'; ` +
		`$ours = { $_.FriendlyName -eq '` + nickname + `' }; `
	importScript = prelude +
		`$flags = [Security.Cryptography.X509Certificates.X509KeyStorageFlags]'UserKeySet,PersistKeySet'; ` +
		`$password, $file = [Console]::In.ReadToEnd().Split(); ` +
		`$new = New-Object Security.Cryptography.X509Certificates.X509Certificate2 -ArgumentList ([Convert]::FromBase64String($file)), $password, $flags; ` +
		`$new.FriendlyName = '` + nickname + `'; ` +
		`$my = New-Object Security.Cryptography.X509Certificates.X509Store -ArgumentList 'My', 'CurrentUser'; ` +
		`$my.Open('ReadWrite'); $my.Add($new); $my.Close(); 'done'`
	listScript = prelude +
		`Get-ChildItem $store | Where-Object $ours | ForEach-Object { [Convert]::ToBase64String($_.RawData) }; 'done'`
	// With %s for what to delete besides being ours.
	deleteScript = prelude +
		`Get-ChildItem $store | Where-Object $ours | Where-Object { %s } | Remove-Item -DeleteKey; 'done'`
)

// Install implements Installer.
func (w *Windows) Install(ctx context.Context, c Credential, deviceURL string) error {
	value, _, err := selection(c.Certificate, deviceURL)
	if err != nil {
		return err
	}
	file, password, err := pack(c)
	if err != nil {
		return err
	}
	err = w.eachUser(func(u User) error { return w.installFor(ctx, u, c.Certificate, file, password) })
	for _, key := range policyKeys() {
		if e := w.Registry.Set(key, policyValue, value); e != nil {
			err = errors.Join(err, fmt.Errorf(`write the browser policy HKLM\%s, which administrators can: %w`, key, e))
		}
	}
	return err
}

func (w *Windows) installFor(ctx context.Context, u User, c *x509.Certificate, file []byte, password string) error {
	held, err := w.certificates(ctx, u)
	if err != nil {
		return err
	}
	there, others := false, false
	for _, h := range held {
		there = there || h.Equal(c)
		others = others || !h.Equal(c)
	}
	if !there {
		if _, err := w.script(ctx, u, importScript, password+"\n"+base64.StdEncoding.EncodeToString(file)); err != nil {
			return err
		}
	}
	if !others {
		return nil
	}
	sum := sha1.Sum(c.Raw)
	_, err = w.script(ctx, u, fmt.Sprintf(deleteScript, "$_.Thumbprint -ne '"+hex.EncodeToString(sum[:])+"'"), "")
	return err
}

// Remove implements Installer.
func (w *Windows) Remove(ctx context.Context) error {
	err := w.eachUser(func(u User) error {
		_, err := w.script(ctx, u, fmt.Sprintf(deleteScript, "$true"), "")
		return err
	})
	for _, key := range policyKeys() {
		if e := w.Registry.Delete(key, policyValue); e != nil {
			err = errors.Join(err, fmt.Errorf(`delete the browser policy HKLM\%s, which administrators can: %w`, key, e))
		}
	}
	return err
}

// Installed implements Installer.
func (w *Windows) Installed(ctx context.Context) ([]Place, error) {
	var places []Place
	err := w.eachUser(func(u User) error {
		held, err := w.certificates(ctx, u)
		for _, c := range held {
			places = append(places, Place{`CurrentUser\My of ` + u.Name, c})
		}
		return err
	})
	for _, key := range policyKeys() {
		value, found, e := w.Registry.Get(key, policyValue)
		if err = errors.Join(err, e); found && json.Valid([]byte(value)) {
			places = append(places, Place{Where: `HKLM\` + key + `\` + policyValue})
		}
	}
	return places, err
}

func (w *Windows) eachUser(f func(User) error) error {
	users, err := w.Users()
	for _, u := range users {
		if e := f(u); e != nil {
			err = errors.Join(err, fmt.Errorf("certificates of %s: %w", u.Name, e))
		}
	}
	return err
}

// certificates lists those of ours that a user has.
func (w *Windows) certificates(ctx context.Context, u User) ([]*x509.Certificate, error) {
	lines, err := w.script(ctx, u, listScript, "")
	var found []*x509.Certificate
	for _, line := range lines {
		der, e := base64.StdEncoding.DecodeString(line)
		if e == nil {
			var c *x509.Certificate
			if c, e = x509.ParseCertificate(der); e == nil {
				found = append(found, c)
			}
		}
		err = errors.Join(err, e)
	}
	return found, err
}

// script runs a script as a user, and returns what it printed.
func (w *Windows) script(ctx context.Context, u User, text, stdin string) ([]string, error) {
	out, err := w.Run(ctx, Command{
		Name:  "powershell.exe",
		Args:  []string{"-NoLogo", "-NoProfile", "-NonInteractive", "-Command", text},
		Stdin: stdin,
		As:    &u,
	})
	if err != nil {
		return nil, err
	}
	lines := strings.Fields(out)
	if len(lines) == 0 || lines[len(lines)-1] != "done" {
		return nil, fmt.Errorf("powershell.exe ended early: %q", firstLines(out))
	}
	return lines[:len(lines)-1], nil
}
