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
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[service]
	if ok && known.version == metadata.ResourceVersion && time.Since(known.made) < renewAfter {
		return known.config, nil
	}
	return c.make(ctx, service, key)
}

func (c *Credentials) make(ctx context.Context, service, key types.NamespacedName) (*tls.Config, error) {
	var secret corev1.Secret
	if err := c.Live.Get(ctx, key, &secret); err != nil {
		return nil, fmt.Errorf("read control CA: %w", err)
	}
	config, err := controlpki.Client(secret.Data, time.Now())
	if err != nil {
		return nil, err
	}
	if c.known == nil {
		c.known = make(map[types.NamespacedName]credential)
	}
	c.known[service] = credential{config: config, version: secret.ResourceVersion, made: time.Now()}
	return config, nil
}
