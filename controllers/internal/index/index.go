// Package index has the cache's indexes: what refers to what, the other way round.
package index

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/pop3server/directory"
)

// Names of the indexes, for client.MatchingFields. All of them hold within a namespace.
const (
	// Service finds the Mailboxes of a PopService by its name.
	Service = "spec.serviceRef.name"
	// Bucket finds the Mailboxes of a bucket by BucketKey.
	Bucket = "bucket"
	// MailName finds the Mailboxes that claim an address, be it as address or as alias, by MailNameKey.
	MailName = "mailName"
	// Secret finds the PopServices and the Mailboxes that refer to a Secret by its name.
	Secret = "secret"
)

// BucketKey names a bucket of a PopService.
func BucketKey(service string, bucket int) string {
	return service + "/" + directory.BucketName(bucket)
}

// MailNameKey names an address within a PopService.
func MailNameKey(service, address string) string { return service + "/" + address }

// Add adds all indexes to a cache.
func Add(ctx context.Context, indexer client.FieldIndexer) error {
	for _, i := range []struct {
		object client.Object
		name   string
		keys   client.IndexerFunc
	}{
		{&v1alpha1.Mailbox{}, Service, serviceOf},
		{&v1alpha1.Mailbox{}, Bucket, bucketOf},
		{&v1alpha1.Mailbox{}, MailName, mailNamesOf},
		{&v1alpha1.Mailbox{}, Secret, secretsOfMailbox},
		{&v1alpha1.PopService{}, Secret, secretsOfService},
	} {
		if err := indexer.IndexField(ctx, i.object, i.name, i.keys); err != nil {
			return fmt.Errorf("add index %s of %T: %w", i.name, i.object, err)
		}
	}
	return nil
}

func serviceOf(object client.Object) []string {
	return []string{object.(*v1alpha1.Mailbox).Spec.ServiceRef.Name}
}

func bucketOf(object client.Object) []string {
	spec := &object.(*v1alpha1.Mailbox).Spec
	return []string{BucketKey(spec.ServiceRef.Name, BucketOf(spec.Address))}
}

// BucketOf gives the bucket of an address.
func BucketOf(address v1alpha1.Address) int {
	return directory.Bucket(directory.MailboxID(string(address)))
}

// Names gives all addresses that a Mailbox claims.
func Names(m *v1alpha1.Mailbox) []string {
	all := []string{string(m.Spec.Address)}
	for _, alias := range m.Spec.Aliases {
		all = append(all, string(alias))
	}
	return all
}

func mailNamesOf(object client.Object) []string {
	m := object.(*v1alpha1.Mailbox)
	keys := Names(m)
	for i := range keys {
		keys[i] = MailNameKey(m.Spec.ServiceRef.Name, keys[i])
	}
	return keys
}

func secretsOfMailbox(object client.Object) []string {
	var all []string
	for _, c := range object.(*v1alpha1.Mailbox).Spec.Credentials {
		switch {
		case c.PasswordSecretRef != nil:
			all = append(all, c.PasswordSecretRef.Name)
		case c.VerifierSecretRef != nil:
			all = append(all, c.VerifierSecretRef.Name)
		}
	}
	return unique(all)
}

func secretsOfService(object client.Object) []string {
	return SecretsOf(&object.(*v1alpha1.PopService).Spec)
}

// SecretsOf gives the names of the Secrets that a PopService refers to, each one once.
func SecretsOf(spec *v1alpha1.PopServiceSpec) []string {
	var all []string
	if spec.TLS != nil {
		for _, c := range spec.TLS.Certificates {
			all = append(all, c.SecretRef.Name)
		}
	}
	if tls := spec.Delivery.LMTP.TLS; tls != nil {
		all = append(all, tls.SecretRef.Name)
		if tls.ClientCASecretRef != nil {
			all = append(all, tls.ClientCASecretRef.Name)
		}
	}
	return unique(append(all, authenticationSecrets(&spec.Authentication)...))
}

func authenticationSecrets(spec *v1alpha1.Authentication) (all []string) {
	if spec.Kerberos != nil {
		all = append(all, spec.Kerberos.KeytabSecretRef.Name)
	}
	if spec.OAuth != nil {
		for i := range spec.OAuth.Issuers {
			if ref := spec.OAuth.Issuers[i].CASecretRef; ref != nil {
				all = append(all, ref.Name)
			}
		}
	}
	if spec.ClientCASecretRef != nil {
		all = append(all, spec.ClientCASecretRef.Name)
	}
	return all
}

func unique(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}
