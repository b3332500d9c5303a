// Package backoff says how long to wait after errors.
package backoff

import (
	"time"

	"k8s.io/client-go/util/workqueue"
)

// The first wait and the longest one. What the user puts right is to be noticed within a minute, also where no watch tells
// of it, as with a quota or a role.
const (
	first   = 50 * time.Millisecond
	longest = time.Minute
)

// Limiter gives what a controller's queue asks how long to wait: twice as long after each error.
func Limiter[Request comparable]() workqueue.TypedRateLimiter[Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[Request](first, longest)
}
