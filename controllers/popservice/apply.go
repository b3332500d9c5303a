package popservice

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/apply"
)

// apply makes each object what it is to be. One that fails does not hold up the others; only in a namespace that is
// being deleted there is nothing left to do, which is the one error that it gives.
func (r *Reconciler) apply(ctx context.Context, s *state) error {
	for _, c := range s.plan() {
		written, err := r.applyChild(ctx, c)
		if errors.Is(err, apply.ErrTerminating) {
			return err
		}
		if err != nil {
			s.failures[c.id.GVK.Kind+" "+c.id.Name] = err
			continue
		}
		if written {
			log.FromContext(ctx).Info("applied", "kind", c.id.GVK.Kind, "object", c.id.Name)
		}
		if written && c.file {
			r.noteWritten(client.ObjectKeyFromObject(s.service))
		}
		s.rollsOut = s.rollsOut || written && c.id.GVK == deploymentKind
	}
	if s.service.Spec.NetworkPolicy.Mode == v1alpha1.NetworkPolicyNone && s.policy != nil &&
		s.identity(policyKind, s.policy.Name).Owns(s.policy) {
		if err := r.Delete(ctx, s.policy); client.IgnoreNotFound(err) != nil {
			s.failures["NetworkPolicy "+s.policy.Name] = fmt.Errorf("delete NetworkPolicy: %w", err)
		}
	}
	return nil
}

func (r *Reconciler) applyChild(ctx context.Context, c child) (bool, error) {
	if c.err != nil {
		return false, c.err
	}
	return r.Applier.Apply(ctx, c.id, c.intent, c.current, c.owned)
}

// retry gives the failures that may pass by themselves. One that only the user can end is looked at again with all else.
func (s *state) retry() error {
	var errs []error
	for _, err := range s.failures {
		if !errors.As(err, new(*apply.ForeignError)) && !isRefused(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
