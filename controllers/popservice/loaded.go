package popservice

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/popservice/popservice/api/v1alpha1"
	mailboxes "github.com/popservice/popservice/controllers/directory"
	"github.com/popservice/popservice/controllers/internal/fleet"
	"github.com/popservice/popservice/pop3server/control"
)

// What the servers have loaded of what they are to load: configuration, certificates, directory.

// ready gives the servers that clients come to.
func (s *state) ready() []fleet.Server {
	return slices.DeleteFunc(slices.Clone(s.servers), func(server fleet.Server) bool { return !server.Ready })
}

// isCurrent tells whether a server has loaded every file that there is for it, apart from the directory.
func (s *state) isCurrent(status *control.Status) bool {
	if s.configErr == nil && status.Config.Revision != s.config.Revision {
		return false
	}
	return !slices.ContainsFunc(s.allCertificates(), func(c certificate) bool {
		return c.fingerprint != "" && !serves(status, c)
	})
}

// allCertificates are those of the listeners, those of the LMTP port, and what logins need.
func (s *state) allCertificates() []certificate {
	return slices.Concat(s.certificates, s.lmtpTLS, s.loginFiles)
}

// serves tells whether a server has loaded a certificate.
func serves(status *control.Status, c certificate) bool {
	// A server tells of LMTP's with the configuration that names them, and whether it has that one is told by its revision.
	// One that runs it and tells nothing is of a version that never will: there is nothing to wait for.
	switch told := status.LMTPTLS; c.use {
	case useLMTP:
		return told == nil || told.Certificate.Fingerprint == c.fingerprint
	case useClientCA:
		return told == nil || told.ClientCA == nil || told.ClientCA.Fingerprint == c.fingerprint
	case useLogins:
		return !slices.ContainsFunc(status.Files, func(f control.File) bool {
			return f.Name == c.name && f.Fingerprint != c.fingerprint
		})
	}
	return slices.ContainsFunc(status.Certificates, func(served control.Certificate) bool {
		return served.Name == c.name && served.Fingerprint == c.fingerprint
	})
}

// isServed tells whether every ready server serves a certificate, and that there is such a server. One that does not run the
// configuration that names LMTP's does not serve them.
func (s *state) isServed(c certificate) bool {
	ready := s.ready()
	return len(ready) > 0 && !slices.ContainsFunc(ready, func(server fleet.Server) bool {
		status := server.Status
		return status == nil || !serves(status, c) ||
			c.use != useListeners && s.configErr == nil && status.Config.Revision != s.config.Revision
	})
}

// unreachable finds a ready server that could not be asked.
func (s *state) unreachable(kind string) (finding, bool) {
	for _, server := range s.ready() {
		if server.Status == nil {
			return pending(kind, reasonUnreachable, fmt.Sprintf("%v: the operator must reach the port %q of the servers' pods",
				server.Err, fleet.ControlPort)), true
		}
	}
	return finding{}, false
}

// certificatesReady tells whether every certificate is good, and served.
func (s *state) certificatesReady() finding {
	const kind = v1alpha1.ConditionCertificatesReady
	all := s.allCertificates()
	if len(all) == 0 {
		return good(kind, reasonNoTLS, "no listener uses TLS")
	}
	for _, c := range all {
		if c.reason != "" {
			return stalled(kind, c.reason, c.problem)
		}
	}
	for _, c := range all {
		if !s.isServed(c) {
			return pending(kind, reasonNotServedYet, fmt.Sprintf("certificate %q is on its way to the servers", c.name))
		}
	}
	return good(kind, reasonServed, "every server serves every certificate")
}

// configurationApplied tells whether every server runs the configuration.
func (s *state) configurationApplied() finding {
	const kind = v1alpha1.ConditionConfigurationApplied
	if s.configErr != nil {
		return stalled(kind, reasonInvalidConfiguration, s.configErr.Error()+". The servers keep the one that they have")
	}
	if f, ok := s.unreachable(kind); ok {
		return f
	}
	ready := s.ready()
	for _, server := range ready {
		loaded := server.Status.Config
		switch {
		case loaded.Revision == s.config.Revision:
		case loaded.Error != "":
			return pending(kind, reasonConfigurationRefused, fmt.Sprintf("pod %s keeps its configuration: %s", server.Name,
				loaded.Error))
		default:
			return pending(kind, reasonApplying, fmt.Sprintf("the configuration is on its way to pod %s", server.Name))
		}
	}
	if len(ready) == 0 {
		return pending(kind, reasonApplying, "no server is ready")
	}
	return good(kind, reasonApplied, "every server runs this configuration")
}

// syncGrace is how old a change of the directory must be before it is told that a server has not seen it: otherwise
// the condition would come and go with each Mailbox that somebody changes.
const syncGrace = 5 * time.Second

// directorySynced tells whether every server has loaded every bucket of the directory. It is no hindrance to Ready
// while one has not: the Mailboxes that it is about say so themselves, and the others are served.
func (s *state) directorySynced() finding {
	f := s.directoryLoaded()
	if s.trouble.Reason == "" || f.blocks && s.hasDeployment() {
		return f
	}
	f = pending(f.Type, s.trouble.Reason, fmt.Sprintf("bucket %q of the directory cannot be written: %s", s.troubled,
		s.trouble.Message))
	f.stalled = s.trouble.Reason != mailboxes.ReasonApplyFailed
	f.blocks = !s.hasDeployment() // otherwise those mailboxes say it themselves, and the others are served
	return f
}

func (s *state) directoryLoaded() finding {
	const kind = v1alpha1.ConditionDirectorySynced
	if f, ok := s.unreachable(kind); ok {
		return f
	}
	ready := s.ready()
	for _, server := range ready {
		refused := server.Status.Directory.Errors
		for _, bucket := range slices.Sorted(maps.Keys(refused)) {
			return pending(kind, reasonBucketRefused, fmt.Sprintf("pod %s keeps what it has of bucket %q: %s",
				server.Name, bucket, refused[bucket]))
		}
		if s.hasOtherDefaults(server.Status.Directory.Revisions) {
			return pending(kind, reasonSyncing, fmt.Sprintf("mailboxDefaults are on their way to pod %s", server.Name))
		}
		if s.isBehind(server.Status.Directory.Revisions) {
			f := pending(kind, reasonSyncing, fmt.Sprintf("changed mailboxes are on their way to pod %s", server.Name))
			f.blocks = false
			return f
		}
	}
	if len(ready) == 0 {
		return pending(kind, reasonSyncing, "no server is ready")
	}
	return good(kind, reasonSynced, "every server has every mailbox")
}

// hasOtherDefaults tells whether a server has a bucket that is of other mailboxDefaults than the spec's.
func (s *state) hasOtherDefaults(loaded map[string]int64) bool {
	for bucket := range s.directory.revisions {
		if s.directory.outdated[bucket] || loaded[bucket] < s.directory.since[bucket] {
			return true
		}
	}
	return false
}

// isBehind tells whether a server lacks a revision that was written some time ago; a revision tells when (package directory).
func (s *state) isBehind(loaded map[string]int64) bool {
	for bucket, revision := range s.directory.revisions {
		if loaded[bucket] < revision && s.now.Sub(time.UnixMilli(revision)) > syncGrace {
			return true
		}
	}
	return false
}

// isSyncing tells whether a server that is ready lacks a revision, however new.
func (s *state) isSyncing() bool {
	return slices.ContainsFunc(s.ready(), func(server fleet.Server) bool {
		for bucket, revision := range s.directory.revisions {
			if server.Status == nil || server.Status.Directory.Revisions[bucket] < revision {
				return true
			}
		}
		return false
	})
}
