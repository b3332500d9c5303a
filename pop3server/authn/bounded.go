package authn

import "container/list"

// bounded is a map of which the entry that was unused for the longest makes room for a new one.
type bounded[K comparable, V any] struct {
	capacity int
	entries  map[K]*list.Element
	recent   *list.List // of boundedEntry, the most recently used first
}

type boundedEntry[K comparable, V any] struct {
	key   K
	value V
}

func newBounded[K comparable, V any](capacity int) *bounded[K, V] {
	return &bounded[K, V]{capacity: capacity, entries: make(map[K]*list.Element), recent: list.New()}
}

func (b *bounded[K, V]) get(key K) (value V, ok bool) {
	element, ok := b.entries[key]
	if !ok {
		return value, false
	}
	b.recent.MoveToFront(element)
	return element.Value.(boundedEntry[K, V]).value, true
}

func (b *bounded[K, V]) put(key K, value V) {
	b.remove(key)
	if b.recent.Len() >= b.capacity {
		b.remove(b.recent.Back().Value.(boundedEntry[K, V]).key)
	}
	b.entries[key] = b.recent.PushFront(boundedEntry[K, V]{key, value})
}

func (b *bounded[K, V]) remove(key K) {
	if element, ok := b.entries[key]; ok {
		b.recent.Remove(element)
		delete(b.entries, key)
	}
}
