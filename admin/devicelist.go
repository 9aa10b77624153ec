package admin

import (
	"fmt"
	"net/http"
	"strings"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// maxScanned is how many records one request looks at: a filter that nothing
// passes must not make it read all of them.
const (
	maxScanned   = 10_000
	filteredPage = 500 // read at once when a filter may drop most of them
)

var filters = []Parameter{
	{Name: "q", Summary: "Only devices with this in their ID, serial number, owner, vendor or model, in any case.", Type: typeOf[string]()},
	{Name: "owner", Summary: "Only devices of this owner, in any case.", Type: typeOf[string]()},
	{Name: "os", Summary: "Only devices with this operating system, in any case.", Type: typeOf[string]()},
	{Name: "managed", Summary: "Only devices that the default policy finds managed, or not.", Type: typeOf[bool]()},
	{Name: "compliant", Summary: "Only devices that the default policy finds compliant, or not.", Type: typeOf[bool]()},
	{Name: "state", Summary: "Only devices in this state.", Type: typeOf[string](),
		Values: []string{string(StateEnrolled), string(StatePending), string(StateQuarantined), string(StateSuspected), string(StateRetired)}},
}

func (h *Devices) list(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	limit, err := q.number("limit", defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	wanted, filtered, err := h.wanted(q)
	if err != nil {
		return err
	}
	read := func(after string, n int) ([]Device, error) {
		page, err := h.Inventory.Devices(r.Context(), after, n)
		judged := make([]Device, len(page))
		for i := range page {
			judged[i] = h.judge(page[i])
		}
		return judged, err
	}
	size := limit
	if filtered {
		size = max(limit, filteredPage)
	}
	found, next, err := filterPages(size, q.values.Get("after"), limit, wanted, read, func(d *Device) string { return d.ID })
	if err != nil {
		return fail(fmt.Errorf("list devices: %w", err))
	}
	if found == nil {
		found = []Device{}
	}
	return web.WriteJSON(w, http.StatusOK, DeviceList{Devices: found, Next: next})
}

// wanted tells which devices are wanted, and whether that is not all.
func (h *Devices) wanted(q *query) (wanted func(d *Device) bool, filtered bool, err error) {
	managed, byManaged, err := q.truth("managed")
	if err != nil {
		return nil, false, err
	}
	compliant, byCompliant, err := q.truth("compliant")
	if err != nil {
		return nil, false, err
	}
	state := DeviceState(q.values.Get("state"))
	inState := map[DeviceState]func(d *Device) bool{
		"":               func(*Device) bool { return true },
		StateEnrolled:    func(d *Device) bool { return d.Enrolled != nil },
		StatePending:     func(d *Device) bool { return d.Pending() },
		StateQuarantined: func(d *Device) bool { return d.Quarantine.Holds(h.Now()) },
		StateSuspected:   func(d *Device) bool { return d.Suspected != nil },
		StateRetired:     func(d *Device) bool { return d.Retired() },
	}[state]
	if inState == nil {
		return nil, false, badQuery(fmt.Sprintf("The state %.40q is none that a device can be in.", state))
	}
	owner, os, text := posture.FoldUser(q.values.Get("owner")), q.values.Get("os"), strings.ToLower(q.values.Get("q"))
	return func(d *Device) bool {
		return (!byManaged || d.Verdict.Managed == managed) && (!byCompliant || d.Verdict.Compliant == compliant) && inState(d) &&
			(owner == "" || posture.FoldUser(d.Owner) == owner) && (os == "" || strings.EqualFold(d.OS, os)) && (text == "" || d.has(text))
	}, byManaged || byCompliant || state != "" || owner+os+text != "", nil
}

// has tells whether the text, in lower case, stands in what identifies the device
// to people.
func (d *Device) has(text string) bool {
	for _, s := range []string{d.ID, d.Serial, d.Owner, d.Vendor, d.Model} {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	return false
}

// filterPages gives up to limit records that are wanted, of those behind after,
// and behind which one to go on (empty: there are no more). It reads size at
// once and looks at maxScanned, so it may give none and not be at the end.
func filterPages[T any](size int, after string, limit int, wanted func(*T) bool, read func(after string, n int) ([]T, error), id func(*T) string) (found []T, next string, err error) {
	for scanned := 0; ; {
		// One more than is looked at tells whether that is all.
		page, err := read(after, size+1)
		if err != nil {
			return nil, "", err
		}
		for i := range page[:min(len(page), size)] {
			after = id(&page[i])
			if wanted(&page[i]) {
				found = append(found, page[i])
			}
			if len(found) == limit && i+1 < len(page) {
				return found, after, nil
			}
		}
		if len(page) <= size {
			return found, "", nil
		}
		if scanned += size; scanned >= maxScanned {
			return found, after, nil
		}
	}
}
