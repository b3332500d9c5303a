// Package controllers puts the operator together.
package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/directory"
	"github.com/popservice/popservice/controllers/internal/apply"
	"github.com/popservice/popservice/controllers/internal/fleet"
	"github.com/popservice/popservice/controllers/internal/index"
	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/controllers/mailbox"
	"github.com/popservice/popservice/controllers/popservice"
)

// Options are what the controllers need beside the manager.
type Options struct {
	// Image is the server image where a PopService names none.
	Image string
	// Namespace is where the operator runs.
	Namespace string
}

// Scheme knows every kind that the operator works with.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(fmt.Sprintf("kinds that do not fit together: %v", err)) // the same in each run
		}
	}
	return scheme
}

// ManagerOptions are those on which the controllers rely: what is cached, and of which namespaces; none are all.
func ManagerOptions(namespaces []string) ctrl.Options {
	return ctrl.Options{Scheme: Scheme(), Cache: cacheOptions(namespaces)}
}

// cacheOptions keep the cache small: of children only the operator's own, of Secrets no data. Children keep their
// managed fields, by which the operator knows what it has set.
func cacheOptions(namespaces []string) cache.Options {
	ours := cache.ByObject{
		Label:     labels.SelectorFromSet(labels.Set{names.LabelManagedBy: names.ManagedBy}),
		Transform: func(object any) (any, error) { return object, nil },
	}
	options := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.ConfigMap{}:             ours,
			&corev1.Service{}:               ours,
			&corev1.ServiceAccount{}:        ours,
			&corev1.PersistentVolumeClaim{}: ours,
			&corev1.Pod{}:                   {Label: ours.Label},
			&appsv1.Deployment{}:            ours,
			&networkingv1.NetworkPolicy{}:   ours,
		},
	}
	for _, namespace := range namespaces {
		if options.DefaultNamespaces == nil {
			options.DefaultNamespaces = make(map[string]cache.Config)
		}
		options.DefaultNamespaces[namespace] = cache.Config{}
	}
	return options
}

// Add adds all controllers to a manager.
func Add(ctx context.Context, mgr ctrl.Manager, options Options) error {
	if err := index.Add(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	live := mgr.GetAPIReader()
	credentials := &fleet.Credentials{Metadata: mgr.GetClient(), Live: live}
	servers := &fleet.Fleet{Reader: mgr.GetClient(), Credentials: credentials, Poker: mgr.GetClient()}
	applier := &apply.Applier{Writer: mgr.GetClient(), Live: live}
	recorder := mgr.GetEventRecorder(names.FieldOwner)
	board := directory.NewBoard()
	for _, c := range []interface{ SetupWithManager(ctrl.Manager) error }{
		&popservice.Reconciler{Client: mgr.GetClient(), Live: live, Applier: applier, Fleet: servers, Recorder: recorder,
			Board: board, Image: options.Image, Namespace: options.Namespace},
		&directory.Reconciler{Client: mgr.GetClient(), Live: live, Applier: applier, Fleet: servers, Board: board},
		&mailbox.Reconciler{Client: mgr.GetClient(), Board: board, Recorder: recorder},
	} {
		if err := c.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("add controller: %w", err)
		}
	}
	return addHealth(mgr)
}

func addHealth(mgr ctrl.Manager) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add readiness check: %w", err)
	}
	return nil
}
