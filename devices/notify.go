package devices

import "sync"

// Notifier wakes those who wait in this process for word about a device. Its
// zero value is ready.
type Notifier struct {
	mu      sync.Mutex
	waiters map[string]*Waiter
}

// Waiter is one who waits for word about a device.
type Waiter struct {
	Woken    <-chan struct{} // there may be word
	Replaced <-chan struct{} // closed when another waits for the same device
	woken    chan struct{}
	replaced chan struct{}
}

// Wait begins to wait for word about the device, in place of whoever did before.
// cancel ends it.
func (n *Notifier) Wait(deviceID string) (w *Waiter, cancel func()) {
	woken, replaced := make(chan struct{}, 1), make(chan struct{})
	w = &Waiter{Woken: woken, Replaced: replaced, woken: woken, replaced: replaced}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waiters == nil {
		n.waiters = make(map[string]*Waiter)
	}
	if old := n.waiters[deviceID]; old != nil {
		close(old.replaced)
	}
	n.waiters[deviceID] = w
	return w, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.waiters[deviceID] == w {
			delete(n.waiters, deviceID)
		}
	}
}

// Wake wakes who waits for word about the device, if anybody does.
func (n *Notifier) Wake(deviceID string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w := n.waiters[deviceID]; w != nil {
		select {
		case w.woken <- struct{}{}:
		default: // he has not looked since the last time
		}
	}
}
