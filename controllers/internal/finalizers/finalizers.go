// Package finalizers puts a finalizer on an object, and takes it off.
package finalizers

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

// Set sees to it that an object has a finalizer, or has it not. Nothing is written where that is so already, and the object
// must be as it was read: otherwise the API server's conflict is the error. An object that is gone is none.
func Set(ctx context.Context, writer client.Writer, object client.Object, finalizer string, wanted bool) error {
	if wanted == controllerutil.ContainsFinalizer(object, finalizer) {
		return nil
	}
	before := object.DeepCopyObject().(client.Object)
	after := object.DeepCopyObject().(client.Object) // the object may be the cache's own
	if !controllerutil.AddFinalizer(after, finalizer) {
		controllerutil.RemoveFinalizer(after, finalizer)
	}
	lock := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := writer.Patch(ctx, after, lock); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write finalizers of %s: %w", object.GetName(), err)
	}
	object.SetFinalizers(after.GetFinalizers())
	object.SetResourceVersion(after.GetResourceVersion())
	return nil
}
