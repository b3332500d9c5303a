// Package pop3 serves maildrops over POP3 (RFC 1939) as [MS-STANXPOP3] states it.
//
// A session goes through three states:
//
//	AUTHORIZATION: USER PASS AUTH STLS CAPA QUIT. A login opens the mailbox and leads to TRANSACTION.
//	TRANSACTION: STAT LIST RETR DELE NOOP RSET TOP UIDL CAPA QUIT, on the list of messages as it was at login.
//	UPDATE: entered by QUIT in TRANSACTION and by nothing else; removes the messages that DELE has marked.
//
// Where the settings say so, there are UTF8 in AUTHORIZATION and LANG in both states too.
//
// Each connection has one goroutine, which runs its session; see session.talk.
package pop3

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/popservice/popservice/pop3server/authn"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// Login is one attempt to log in, as authn.Login is it, which says what each method does.
type Login interface {
	Password(authzid, name string, password []byte) error
	Claim(name, domain string) *authn.Proof
	Canonical(name string) string
	Kerberos(name, realm, authzid string) error
	OAuth(issuer, name string, domains []string, authzid string) error
	Certificate(address, authzid string) error
	// Mailbox is what is opened after a login that has succeeded.
	Mailbox() directory.Record
	Succeeded()
	Failed(err error) (steps int)
}

// Options are what a Server needs; all of them are required.
type Options struct {
	// Settings gives the settings in force; asked once for each connection.
	Settings func() Settings
	// TLSConfig gives what TLS connections are made with, or nil while there is no certificate to serve.
	TLSConfig func() *tls.Config
	// Login begins a login of a client at that address.
	Login      func(ctx context.Context, remote netip.Addr) Login
	Keys       Keys
	Store      maildrop.Store
	Version    string // the program's, for IMPLEMENTATION
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Settings are the part of the configuration that a connection takes over when it is made.
type Settings struct {
	Banner         string
	Authentication config.Authentication
	Timeouts       config.Timeouts
	Limits         config.Limits
	Size           config.SizeMode
	SortOrder      config.SortOrder
	Capabilities   []config.Capability // beyond Exchange's
	Retention      config.Retention    // for EXPIRE; the store follows it by itself
	ProtocolLog    bool
}

// SettingsOf gives the settings that a configuration asks for, whose defaults must have been filled.
func SettingsOf(c *config.Config) Settings {
	return Settings{
		Banner:         c.Banner,
		Authentication: c.Authentication,
		Timeouts:       c.Timeouts,
		Limits:         c.Limits,
		Size:           c.Maildrop.Size,
		SortOrder:      c.SortOrder,
		Capabilities:   c.ExtendedCapabilities,
		Retention:      c.Maildrop.Retention,
		ProtocolLog:    c.Log.Protocol,
	}
}

// Server is a POP3 server on any number of listeners.
type Server struct {
	options     Options
	metrics     *metrics
	limits      *limiter
	logins      *loginTimes
	failureStep time.Duration
	badStep     time.Duration
	headerTime  time.Duration
	protocol    *slog.Logger        // of the protocol log
	crowd       *semaphore.Weighted // octets of long responses
	draining    context.Context     // done when Shutdown has begun
	drained     context.CancelFunc

	mu        sync.Mutex
	phase     phase
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	running   sync.WaitGroup // one for each session; none is added while draining
	updates   sync.WaitGroup // one for each session in the UPDATE state
}

// New makes a Server and registers its metrics.
func New(options Options) *Server {
	s := &Server{
		options:     options,
		limits:      newLimiter(),
		logins:      newLoginTimes(loginTimesMax),
		failureStep: failureStep,
		badStep:     badStep,
		headerTime:  proxyHeaderTime,
		protocol:    newProtocolLogger(options.Log),
		crowd:       semaphore.NewWeighted(crowdedOctets),
		listeners:   make(map[net.Listener]struct{}),
		sessions:    make(map[*session]struct{}),
	}
	s.draining, s.drained = context.WithCancel(context.Background())
	s.metrics = newMetrics(options.Registerer, s.Sessions)
	return s
}

// Sessions tells how many connections are open.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}
