package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

// firewallOn tells whether Windows' firewall runs and is on in all three
// profiles, or, where it is not, whether one of somebody else's that signed up
// with the Security Center is.
func (w *windows) firewallOn(ctx context.Context) (bool, error) {
	on, err := w.ownFirewall(ctx)
	if on && err == nil {
		return true, nil
	}
	var products []firewallProduct // servers have no Security Center
	if w.instances(ctx, `root\SecurityCenter2`, "SELECT ProductState FROM FirewallProduct", &products) == nil {
		for _, p := range products {
			if p.ProductState != nil && *p.ProductState&0xf000 == 0x1000 {
				return true, nil
			}
		}
	}
	return false, err
}

func (w *windows) ownFirewall(ctx context.Context) (bool, error) {
	running, err := w.services(ctx)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(running, func(name string) bool { return strings.EqualFold(name, "mpssvc") }) {
		return false, nil
	}
	const local = `HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy`
	stores := []string{`HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall`, local + `\Mdm`, local} // the first that says something counts
	for _, names := range [][]string{{"DomainProfile"}, {"StandardProfile", "PrivateProfile"}, {"PublicProfile"}} {
		var keys []string
		for _, store := range stores {
			for _, name := range names {
				keys = append(keys, store+`\`+name)
			}
		}
		on, err := w.firstNumber(keys, "EnableFirewall")
		if err != nil || on == 0 {
			return false, err
		}
	}
	return true, nil
}

// firstNumber reads a value under the first key that has it.
func (w *windows) firstNumber(keys []string, name string) (uint64, error) {
	for _, key := range keys {
		n, err := w.number(key, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
	}
	return 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// screenLock reads the machine's limit on inactivity, or else the screen savers
// of all who are signed in. Where neither is set, the screen may still lock when
// the machine goes to sleep: that is unknown.
func (w *windows) screenLock(context.Context) (bool, error) {
	const machine = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System`
	limit, err := w.number(machine, "InactivityTimeoutSecs")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err == nil && inTime(limit) {
		return true, nil
	}
	hives, err := w.registry.subkeys("HKU")
	if err != nil {
		return false, err
	}
	users := 0
	for _, sid := range hives {
		// Of a domain or the machine, or of Entra ID; what else is there are services.
		if !strings.HasPrefix(sid, "S-1-5-21-") && !strings.HasPrefix(sid, "S-1-12-1-") || strings.HasSuffix(strings.ToLower(sid), "_classes") {
			continue
		}
		users++
		if locks, err := w.screenSaver(sid); err != nil || !locks {
			return false, err
		}
	}
	if users == 0 {
		return false, errors.New("no limit on inactivity is set, and nobody is signed in")
	}
	return true, nil
}

// inTime tells whether so many seconds are a time after which a screen locks.
func inTime(seconds uint64) bool {
	return seconds > 0 && seconds <= uint64(maxLock/time.Second)
}

func (w *windows) screenSaver(sid string) (bool, error) {
	keys := []string{`HKU\` + sid + `\Software\Policies\Microsoft\Windows\Control Panel\Desktop`, `HKU\` + sid + `\Control Panel\Desktop`}
	for _, name := range []string{"ScreenSaveActive", "ScreenSaverIsSecure"} {
		on, err := w.firstNumber(keys, name)
		if err != nil || on == 0 {
			return false, err
		}
	}
	seconds, err := w.firstNumber(keys, "ScreenSaveTimeOut")
	return inTime(seconds) && err == nil, err
}

// updateScript asks the Windows Update Agent, without the network, when it
// looked last (in UTC) and how many security updates of that look wait. The
// identifier is that of the category Security Updates.
const updateScript = `$ErrorActionPreference = 'Stop'
$c = [Globalization.CultureInfo]::InvariantCulture
(New-Object -ComObject Microsoft.Update.AutoUpdate).Results.LastSearchSuccessDate.ToString('yyyy-MM-ddTHH:mm:ssZ', $c)
$s = (New-Object -ComObject Microsoft.Update.Session).CreateUpdateSearcher()
$s.Online = $false
$s.Search("IsInstalled=0 and IsHidden=0 and CategoryIDs contains '0FA1201D-4330-4FA8-8AE9-B9473B6441BD'").Updates.Count.ToString($c)`

// pendingUpdates goes by PowerShell, since the agent's interface is for scripts
// only.
func (w *windows) pendingUpdates(ctx context.Context) (int, error) {
	out, _, err := w.run(ctx, w.system32+`\WindowsPowerShell\v1.0\powershell.exe`,
		"-NoLogo", "-NoProfile", "-NonInteractive", "-Command", updateScript)
	if err != nil {
		return 0, err
	}
	looked, n, err := parseUpdates(out)
	if err != nil {
		return 0, err
	}
	return n, fresh(w.now(), looked)
}

func parseUpdates(text string) (looked time.Time, n int, err error) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return looked, 0, fmt.Errorf("the script says %q", clean(text))
	}
	if looked, err = time.Parse("2006-01-02T15:04:05Z", fields[0]); err != nil {
		return looked, 0, fmt.Errorf("the last look for updates was at %q", clean(fields[0]))
	}
	count, err := strconv.ParseUint(fields[1], 10, 31)
	if err != nil {
		return looked, 0, fmt.Errorf("%q is no number of updates", clean(fields[1]))
	}
	return looked, int(count), nil
}
