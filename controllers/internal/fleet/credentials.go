package fleet

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/controllers/internal/controlpki"
	"github.com/popservice/popservice/controllers/internal/names"
)

// renewAfter is when a certificate of the operator's own is made anew; it is good for twice that long.
const renewAfter = 12 * time.Hour

// Credentials are what the operator reaches servers with, made from the CA in each PopService's Secret.
type Credentials struct {
	// Metadata reads the Secret's metadata, in the cache.
	Metadata client.Reader
	// Live reads the Secret.
	Live client.Reader

	mu    sync.Mutex
	known map[types.NamespacedName]credential
}

type credential struct {
	config  *tls.Config
	version string // of the CA's Secret
	made    time.Time
}

// For gives the credentials for the servers of a PopService.
func (c *Credentials) For(ctx context.Context, service types.NamespacedName) (*tls.Config, error) {
	key := types.NamespacedName{Namespace: service.Namespace, Name: names.ControlCA(service.Name)}
	var metadata metav1.PartialObjectMetadata
	metadata.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := c.Metadata.Get(ctx, key, &metadata); err != nil {
		return nil, fmt.Errorf("find control CA: %w", err)
	}
	if metadata.Labels[names.LabelManagedBy] != names.ManagedBy || metadata.Labels[names.LabelService] != service.Name {
		return nil, fmt.Errorf("control CA: Secret %q was not made for this PopService", key.Name)
	}
	if known, ok := c.remembered(service); ok && known.version == metadata.ResourceVersion && time.Since(known.made) < renewAfter {
		return known.config, nil
	}
	made, err := c.make(ctx, key)
	if err == nil {
		c.remember(service, made)
	}
	return made.config, err
}

func (c *Credentials) make(ctx context.Context, key types.NamespacedName) (credential, error) {
	var secret corev1.Secret
	if err := c.Live.Get(ctx, key, &secret); err != nil {
		return credential{}, fmt.Errorf("read control CA: %w", err)
	}
	config, err := controlpki.Client(secret.Data, time.Now())
	return credential{config: config, version: secret.ResourceVersion, made: time.Now()}, err
}

func (c *Credentials) remembered(service types.NamespacedName) (credential, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[service]
	return known, ok
}

func (c *Credentials) remember(service types.NamespacedName, made credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = make(map[types.NamespacedName]credential)
	}
	c.known[service] = made
}

// Forget gives up the credentials for a PopService that is gone.
func (c *Credentials) Forget(service types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, service)
}
