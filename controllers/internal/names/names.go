// Package names has the names, labels and annotations of the objects that the operator makes for a PopService.
package names

import "github.com/popservice/popservice/pop3server/directory"

// FieldOwner is the operator's name as a field manager (server-side apply).
const FieldOwner = "popservice"

// Labels of the objects that belong to a PopService.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelInstance  = "app.kubernetes.io/instance"
	LabelComponent = "app.kubernetes.io/component"
	LabelPartOf    = "app.kubernetes.io/part-of"
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelService names the PopService that an object belongs to.
	LabelService = "popservice.io/service"
	// LabelBucket names the bucket, "00" to "3f", that a Secret of the directory holds.
	LabelBucket = "popservice.io/bucket"

	// ManagedBy is the value of LabelManagedBy on all of them.
	ManagedBy = "popservice"
	// ServerName is the value of LabelName on all of them.
	ServerName = "pop3d"
)

// Annotations that the operator sets.
const (
	// AnnotationRevision is the revision of the bucket that a Secret of the directory holds.
	AnnotationRevision = "popservice.io/revision"
	// AnnotationDefaults says which mailboxDefaults a bucket was last compiled with, and since which revision: HASH/REVISION.
	AnnotationDefaults = "popservice.io/defaults"
	// AnnotationRefreshed is set on a pod when a file in it has changed: the kubelet then reads the pod's volumes at once.
	AnnotationRefreshed = "popservice.io/refreshed-at"
	// AnnotationStatic has a hash of the settings that a server takes over at its start only.
	AnnotationStatic = "popservice.io/static-configuration"
)

// Names of a PopService's objects.

// Deployment is also the name of the ServiceAccount and the NetworkPolicy.
func Deployment(service string) string { return service + "-pop3d" }

// ServiceAccount is the account that the servers run as; it has no rights.
func ServiceAccount(service string) string { return Deployment(service) }

// NetworkPolicy says who reaches the servers.
func NetworkPolicy(service string) string { return Deployment(service) }

// LMTPService is the Service through which mail enters.
func LMTPService(service string) string { return service + "-lmtp" }

// Claim is the PersistentVolumeClaim that holds the maildrops.
func Claim(service string) string { return service + "-maildrops" }

// ConfigMap holds the servers' configuration file.
func ConfigMap(service string) string { return service + "-config" }

// Certificates is the Secret with the certificates that the servers serve.
func Certificates(service string) string { return service + "-certificates" }

// ControlCA is the Secret with the CA of the control port. It is not mounted anywhere.
func ControlCA(service string) string { return service + "-control-ca" }

// ControlTLS is the Secret with the servers' certificate for the control port.
func ControlTLS(service string) string { return service + "-control-tls" }

// Bucket is the Secret with one bucket of the directory.
func Bucket(service string, bucket int) string {
	return service + "-directory-" + directory.BucketName(bucket)
}

// SelectorLabels find a PopService's pods. They never change: a Deployment's selector cannot.
func SelectorLabels(service string) map[string]string {
	return map[string]string{LabelName: ServerName, LabelService: service}
}

// Labels are on every object of a PopService.
func Labels(service string) map[string]string {
	return map[string]string{
		LabelName:      ServerName,
		LabelInstance:  service,
		LabelComponent: "server",
		LabelPartOf:    "popservice",
		LabelManagedBy: ManagedBy,
		LabelService:   service,
	}
}
