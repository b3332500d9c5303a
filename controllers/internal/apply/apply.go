// Package apply writes objects by server-side apply, and only when that would change something.
package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/controllers/internal/names"
)

// Applier applies intents.
type Applier struct {
	// Writer sends what is to be changed.
	Writer client.Client
	// Live reads from the API server itself, past all caches.
	Live client.Reader
}

// ErrTerminating says that the namespace is being deleted, so that nothing new can be made in it.
var ErrTerminating = errors.New("the namespace is being deleted")

// ForeignError says that an object which is to be made is there already and belongs to somebody else.
type ForeignError struct {
	Kind, Name string
}

func (e *ForeignError) Error() string {
	if e.Kind == "PersistentVolumeClaim" { // it may hold mail
		return fmt.Sprintf("%s %q exists and does not bear the labels %s=%s and %s=NAME of the PopService: set them to use what is "+
			"in it, or give the PopService another name", e.Kind, e.Name, names.LabelManagedBy, names.ManagedBy, names.LabelService)
	}
	return fmt.Sprintf("%s %q exists and does not belong to this PopService: delete it, or give the PopService another name",
		e.Kind, e.Name)
}

// Identity says what an intent is about.
type Identity struct {
	GVK             schema.GroupVersionKind
	Namespace, Name string
	// Service is the PopService that the object belongs to, and ServiceUID tells it from one that had the name before.
	Service    string
	ServiceUID types.UID
}

// Apply makes the object what the intent says. current is what is known of the object, nil if nothing is; owned is the part
// of current that the operator has set before. What others have set is left alone. It tells whether it has written.
func (a *Applier) Apply(
	ctx context.Context, id Identity, intent runtime.ApplyConfiguration, current client.Object, owned runtime.ApplyConfiguration,
) (bool, error) {
	if isNil(current) {
		if err := a.refuseForeign(ctx, id); err != nil {
			return false, err
		}
	} else if !id.Owns(current) {
		return false, id.Foreign()
	} else if same, err := equal(intent, owned); same || err != nil {
		return false, err
	}
	err := a.Writer.Apply(ctx, intent, client.FieldOwner(names.FieldOwner), client.ForceOwnership)
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return false, ErrTerminating
	case err != nil:
		return false, fmt.Errorf("apply %s %q: %w", id.GVK.Kind, id.Name, err)
	}
	return true, nil
}

// refuseForeign fails if the object is there and somebody else's. Server-side apply would take it over.
func (a *Applier) refuseForeign(ctx context.Context, id Identity) error {
	var found metav1.PartialObjectMetadata
	found.SetGroupVersionKind(id.GVK)
	err := a.Live.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: id.Name}, &found)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("look for %s %q: %w", id.GVK.Kind, id.Name, err)
	case !id.Owns(&found):
		return id.Foreign()
	}
	return nil
}

// Owns tells whether an object was made for this PopService: by its labels, or, where some other tool has changed those, by its
// controller.
func (id Identity) Owns(object client.Object) bool {
	labels := object.GetLabels()
	if labels[names.LabelManagedBy] == names.ManagedBy && labels[names.LabelService] == id.Service {
		return true
	}
	controller := metav1.GetControllerOf(object)
	return controller != nil && id.ServiceUID != "" && controller.UID == id.ServiceUID
}

// Foreign is the error for an object that is not owned.
func (id Identity) Foreign() error { return &ForeignError{Kind: id.GVK.Kind, Name: id.Name} }

// equal tells whether what is to be set is what has been set: the same fields with the same values, whatever their order.
func equal(intent, owned runtime.ApplyConfiguration) (bool, error) {
	want, err := generic(intent)
	if err != nil {
		return false, err
	}
	have, err := generic(owned)
	return err == nil && equality.Semantic.DeepEqual(want, have), err
}

// generic gives a configuration as the JSON values that it stands for.
func generic(configuration runtime.ApplyConfiguration) (map[string]any, error) {
	text, err := json.Marshal(configuration)
	if err != nil {
		return nil, fmt.Errorf("encode apply configuration: %w", err)
	}
	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("decode apply configuration: %w", err)
	}
	return values, nil
}

func isNil(object client.Object) bool {
	return object == nil || reflect.ValueOf(object).IsNil()
}

// Convert gives a value of the API as the apply configuration with the same JSON. It is for what users wrote into a spec, whose
// types leave out what is not set.
func Convert[T any](value any) (T, error) {
	var converted T
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, &converted)
	}
	if err != nil {
		return converted, fmt.Errorf("convert %T to an apply configuration: %w", value, err)
	}
	return converted, nil
}
