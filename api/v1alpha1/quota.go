package v1alpha1

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Quota bounds a maildrop. A limit that is left out is inherited; "unlimited" lifts the inherited one.
//
// +kubebuilder:validation:XValidation:rule="!has(self.issueWarning) || !has(self.prohibitReceive) || string(self.issueWarning) == 'unlimited' || string(self.prohibitReceive) == 'unlimited' || quantity(string(self.issueWarning)).compareTo(quantity(string(self.prohibitReceive))) <= 0",message="issueWarning must not be more than prohibitReceive",fieldPath=".issueWarning"
type Quota struct {
	// issueWarning is the size at which the mailbox's user is warned: a quantity of octets, or "unlimited".
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) != int || self <= 2147483647",message="a number above 2147483647 must be a quantity in text, such as 5Gi"
	// +kubebuilder:validation:XValidation:rule="string(self) == 'unlimited' || (isQuantity(string(self)) && !string(self).matches('[num]$') && quantity(string(self)).isGreaterThan(quantity('0')))",message="must be a whole quantity of octets above 0, such as 2Gi, or unlimited"
	IssueWarning *intstr.IntOrString `json:"issueWarning,omitempty"`
	// prohibitReceive is the size from which on no further mail is taken: a quantity of octets, or "unlimited".
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) != int || self <= 2147483647",message="a number above 2147483647 must be a quantity in text, such as 5Gi"
	// +kubebuilder:validation:XValidation:rule="string(self) == 'unlimited' || (isQuantity(string(self)) && !string(self).matches('[num]$') && quantity(string(self)).isGreaterThan(quantity('0')))",message="must be a whole quantity of octets above 0, such as 2Gi, or unlimited"
	ProhibitReceive *intstr.IntOrString `json:"prohibitReceive,omitempty"`
}

// Unlimited is the limit that is none.
const Unlimited = "unlimited"

// LimitOctets gives a limit in octets, 0 where it is unlimited or nil.
func LimitOctets(limit *intstr.IntOrString) (int64, error) {
	if limit == nil || limit.String() == Unlimited {
		return 0, nil
	}
	quantity, err := resource.ParseQuantity(limit.String())
	if err != nil {
		return 0, fmt.Errorf("%q is neither a quantity nor %q: %w", limit.String(), Unlimited, err)
	}
	return quantity.Value(), nil
}

// Or gives this quota with what it leaves out taken from the inherited one.
func (q Quota) Or(inherited Quota) Quota {
	if q.IssueWarning == nil {
		q.IssueWarning = inherited.IssueWarning
	}
	if q.ProhibitReceive == nil {
		q.ProhibitReceive = inherited.ProhibitReceive
	}
	return q
}
