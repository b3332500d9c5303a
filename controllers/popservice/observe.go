package popservice

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
	mailboxes "github.com/popservice/popservice/controllers/directory"
	"github.com/popservice/popservice/controllers/internal/fleet"
	"github.com/popservice/popservice/controllers/internal/index"
	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/controllers/popservice/resources"
	"github.com/popservice/popservice/pop3server/directory"
)

// state is all that one pass knows. Objects that do not exist are nil.
type state struct {
	service *v1alpha1.PopService
	input   resources.Input
	now     time.Time

	config    resources.Config
	configErr error

	// sources are the TLS Secrets that the spec refers to, by name.
	sources                       map[string]*corev1.Secret
	bundle, controlCA, controlTLS *corev1.Secret
	certificates                  []certificate // of the listeners
	lmtpTLS                       []certificate // what the LMTP port makes TLS with
	loginFiles                    []certificate // what logins need beside the directory
	bundleData                    map[string][]byte

	configMap       *corev1.ConfigMap
	account         *corev1.ServiceAccount
	claim           *corev1.PersistentVolumeClaim
	deployment      *appsv1.Deployment
	clients, lmtp   *corev1.Service
	policy          *networkingv1.NetworkPolicy
	pods            []corev1.Pod
	servers         []fleet.Server
	directory       written // as far as it has been written
	troubled        string  // bucket that cannot be written
	trouble         mailboxes.Problem
	mailboxes       v1alpha1.MailboxCounts
	foreign         map[string]bool  // names of Secrets that are there and somebody else's
	failures        map[string]error // of apply, by the object's kind and name
	rollsOut        bool             // the Deployment has been written in this pass
	currentFindings []finding
}

// observe reads everything once.
func (r *Reconciler) observe(ctx context.Context, service *v1alpha1.PopService) (*state, error) {
	s := &state{
		service:  service,
		input:    resources.Input{Service: service, Image: r.Image, ManagerNamespace: r.Namespace},
		now:      time.Now(),
		foreign:  make(map[string]bool),
		failures: make(map[string]error),
	}
	s.config, s.configErr = resources.NewConfig(s.input)
	s.troubled, s.trouble = r.Board.Trouble(client.ObjectKeyFromObject(service))
	err := errors.Join(
		r.observeSecrets(ctx, s),
		r.observeChildren(ctx, s),
		r.observeDirectory(ctx, s),
		r.observeServers(ctx, s),
	)
	if err != nil {
		return nil, fmt.Errorf("observe PopService %s/%s: %w", service.Namespace, service.Name, err)
	}
	s.certificates, s.bundleData = checkCertificates(service.Spec.TLS, s.sources, data(s.bundle), s.now)
	s.lmtpTLS = addLMTPTLS(s.bundleData, service.Spec.Delivery.LMTP.TLS, s.sources, data(s.bundle), s.now)
	s.loginFiles = addLoginFiles(s.bundleData, &service.Spec.Authentication, s.sources, data(s.bundle))
	return s, nil
}

// observeSecrets reads the few Secrets that matter from the API server: the cache has none.
func (r *Reconciler) observeSecrets(ctx context.Context, s *state) error {
	s.sources = make(map[string]*corev1.Secret)
	for _, name := range index.SecretsOf(&s.service.Spec) {
		if err := find(ctx, r.Live, s.key(name), &corev1.Secret{}, setIn(s.sources, name)); err != nil {
			return err
		}
	}
	name := s.service.Name
	return errors.Join(
		find(ctx, r.Live, s.key(names.Certificates(name)), &corev1.Secret{}, s.setOwn(&s.bundle)),
		find(ctx, r.Live, s.key(names.ControlCA(name)), &corev1.Secret{}, s.setOwn(&s.controlCA)),
		find(ctx, r.Live, s.key(names.ControlTLS(name)), &corev1.Secret{}, s.setOwn(&s.controlTLS)),
	)
}

// setOwn keeps a Secret that was made for this PopService: what is in another one is not to be believed.
func (s *state) setOwn(field **corev1.Secret) func(*corev1.Secret) {
	return func(secret *corev1.Secret) {
		if !s.identity(secretKind, secret.Name).Owns(secret) {
			s.foreign[secret.Name] = true
			return
		}
		*field = secret
	}
}

func (r *Reconciler) observeChildren(ctx context.Context, s *state) error {
	name := s.service.Name
	return errors.Join(
		find(ctx, r.Client, s.key(names.ConfigMap(name)), &corev1.ConfigMap{}, set(&s.configMap)),
		find(ctx, r.Client, s.key(names.ServiceAccount(name)), &corev1.ServiceAccount{}, set(&s.account)),
		find(ctx, r.Client, s.key(names.Claim(name)), &corev1.PersistentVolumeClaim{}, set(&s.claim)),
		find(ctx, r.Client, s.key(names.Deployment(name)), &appsv1.Deployment{}, set(&s.deployment)),
		find(ctx, r.Client, s.key(name), &corev1.Service{}, set(&s.clients)),
		find(ctx, r.Client, s.key(names.LMTPService(name)), &corev1.Service{}, set(&s.lmtp)),
		find(ctx, r.Client, s.key(names.NetworkPolicy(name)), &networkingv1.NetworkPolicy{}, set(&s.policy)),
	)
}

// written is what of the directory stands in Secrets.
type written struct {
	revisions map[string]int64 // by bucket
	// missing are the buckets that have Mailboxes and no Secret yet.
	missing map[string]bool
	// outdated are the buckets that are of other mailboxDefaults than the spec's; since says for the others which revision
	// was the first one of these.
	outdated map[string]bool
	since    map[string]int64
}

// observeDirectory finds which revision of each bucket there is, and how many mailboxes.
func (r *Reconciler) observeDirectory(ctx context.Context, s *state) error {
	var secrets metav1.PartialObjectMetadataList
	secrets.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	err := r.List(ctx, &secrets, client.InNamespace(s.service.Namespace),
		client.MatchingLabels{names.LabelService: s.service.Name}, client.HasLabels{names.LabelBucket})
	if err != nil {
		return fmt.Errorf("list directory: %w", err)
	}
	s.directory = s.readWritten(secrets.Items, resources.DefaultsHash(&s.service.Spec))
	var mailboxes v1alpha1.MailboxList
	err = r.List(ctx, &mailboxes, client.InNamespace(s.service.Namespace), client.MatchingFields{index.Service: s.service.Name},
		client.UnsafeDisableDeepCopy)
	if err != nil {
		return fmt.Errorf("list mailboxes: %w", err)
	}
	for i := range mailboxes.Items {
		s.count(&mailboxes.Items[i])
	}
	return nil
}

// readWritten leaves out what is left of a PopService that had the name before: it is about to go.
func (s *state) readWritten(secrets []metav1.PartialObjectMetadata, defaults string) written {
	w := written{revisions: make(map[string]int64), missing: make(map[string]bool), outdated: make(map[string]bool),
		since: make(map[string]int64)}
	for _, secret := range secrets {
		if !metav1.IsControlledBy(&secret, s.service) {
			continue
		}
		bucket := secret.Labels[names.LabelBucket]
		w.revisions[bucket], _ = strconv.ParseInt(secret.Annotations[names.AnnotationRevision], 10, 64)
		hash, since := resources.ParseDefaults(secret.Annotations[names.AnnotationDefaults])
		if hash == defaults {
			w.since[bucket] = since
		} else {
			w.outdated[bucket] = true
		}
	}
	return w
}

func (s *state) count(m *v1alpha1.Mailbox) {
	s.mailboxes.Total++
	if meta.IsStatusConditionTrue(m.Status.Conditions, v1alpha1.ConditionReady) {
		s.mailboxes.Ready++
	}
	bucket := directory.BucketName(index.BucketOf(m.Spec.Address))
	if _, ok := s.directory.revisions[bucket]; !ok {
		s.directory.missing[bucket] = true
	}
}

func (r *Reconciler) observeServers(ctx context.Context, s *state) error {
	var pods corev1.PodList
	err := r.List(ctx, &pods, client.InNamespace(s.service.Namespace), client.MatchingLabels(names.SelectorLabels(s.service.Name)))
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	s.pods = pods.Items
	s.servers, err = r.Fleet.Servers(ctx, client.ObjectKeyFromObject(s.service))
	return err
}

func (s *state) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: s.service.Namespace, Name: name}
}

// find reads an object and keeps it if it exists.
func find[O client.Object](ctx context.Context, reader client.Reader, key client.ObjectKey, object O, keep func(O)) error {
	err := reader.Get(ctx, key, object)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read %T %s: %w", object, key.Name, err)
	}
	keep(object)
	return nil
}

func set[T any](field *T) func(T) { return func(value T) { *field = value } }

func setIn[T any](values map[string]T, key string) func(T) {
	return func(value T) { values[key] = value }
}

// data gives a Secret's data, also of one that does not exist.
func data(secret *corev1.Secret) map[string][]byte {
	if secret == nil {
		return nil
	}
	return secret.Data
}
