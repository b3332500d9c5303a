package popservice

import (
	"slices"
	"strings"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/conditions"
)

// strongAuthentication warns of mechanisms by which a password may be lost. It is no hindrance to Ready: somebody wants them.
func (s *state) strongAuthentication() finding {
	const kind = v1alpha1.ConditionStrongAuthentication
	weak := weaknesses(&s.service.Spec)
	if len(weak) == 0 {
		return good(kind, reasonStrong,
			"no password crosses the network in the clear, and the servers keep none that is as good as one")
	}
	return finding{Condition: conditions.False(kind, reasonWeak, strings.Join(weak, "; "))}
}

// weaknesses says what of a spec is weak, and what would be better.
func weaknesses(spec *v1alpha1.PopServiceSpec) (weak []string) {
	a := &spec.Authentication
	has := func(mechanism v1alpha1.Mechanism) bool { return slices.Contains(a.Mechanisms, mechanism) }
	if a.LoginType == v1alpha1.PlainTextLogin && (has(v1alpha1.MechanismUser) || has(v1alpha1.MechanismPlain)) {
		weak = append(weak, "with loginType PlainTextLogin passwords cross the network in the clear: use SecureLogin")
	}
	if !has(v1alpha1.MechanismNTLM) {
		return weak
	}
	weak = append(weak, "NTLM stands on MD4 and RC4, and the servers keep hashes for it that are as good as the passwords: "+
		"use SCRAM-SHA-256 or GSSAPI in its place")
	if a.ExtendedProtection != v1alpha1.ProtectionRequire {
		weak = append(weak, "NTLM can be relayed unless extendedProtection is Require")
	}
	return weak
}
