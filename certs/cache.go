package certs

import (
	"crypto/sha256"
	"sync"
)

// cache remembers judgements, of limit entries at most. It has two
// generations: when the young one is full, it becomes the old one, and what is
// asked for again is young again.
type cache struct {
	limit int

	mu         sync.Mutex
	young, old map[[sha256.Size]byte]judgement
}

func newCache(limit int) *cache {
	return &cache{limit: limit, young: make(map[[sha256.Size]byte]judgement)}
}

func (c *cache) get(key [sha256.Size]byte) (judgement, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j, ok := c.young[key]
	if !ok {
		if j, ok = c.old[key]; ok {
			c.add(key, j)
		}
	}
	return j, ok
}

func (c *cache) put(key [sha256.Size]byte, j judgement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(key, j)
}

func (c *cache) add(key [sha256.Size]byte, j judgement) {
	if len(c.young) >= c.limit/2 {
		c.old = c.young
		c.young = make(map[[sha256.Size]byte]judgement, len(c.old))
	}
	c.young[key] = j
}
