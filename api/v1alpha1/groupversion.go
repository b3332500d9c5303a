// Package v1alpha1 is the API of PopService: fleets of POP3 servers and the mailboxes that they serve.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +groupName=popservice.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// SchemeGroupVersion is the group and version of the kinds in this package.
var SchemeGroupVersion = schema.GroupVersion{Group: "popservice.io", Version: "v1alpha1"}

// AddToScheme makes the kinds of this package known to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(SchemeGroupVersion, &PopService{}, &PopServiceList{}, &Mailbox{}, &MailboxList{})
	metav1.AddToGroupVersion(s, SchemeGroupVersion)
	return nil
}
