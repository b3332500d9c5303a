package server

import (
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/control"
	"github.com/popservice/popservice/pop3server/lmtp"
	"github.com/popservice/popservice/pop3server/pop3"
)

// configuration is the configuration file and the version of it that runs.
type configuration struct {
	path  string
	log   *slog.Logger
	level *slog.LevelVar

	running atomic.Pointer[config.Config]

	mu      sync.Mutex
	since   time.Time // when the running version was taken over
	refused error     // why the file as it is now was not
}

// newConfiguration reads the file, which must be right: a server that does not know what it should be must not start.
func newConfiguration(path string, log *slog.Logger, level *slog.LevelVar) (*configuration, error) {
	first, err := config.Load(path)
	if err != nil {
		return nil, fmt.Errorf("%w\ncorrect the file, try it with `pop3d check --config %s`, and start again", err, path)
	}
	c := &configuration{path: path, log: log, level: level}
	c.takeOver(first)
	return c, nil
}

// now gives the version that runs; nobody may change it.
func (c *configuration) now() *config.Config { return c.running.Load() }

func (c *configuration) takeOver(next *config.Config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.level.Set(levelOf(next.Log.Level))
	c.running.Store(next)
	c.since = time.Now()
	c.refused = nil
}

// reload reads the file again. A new version is handed to prepare before it runs, so that the revision is told only when all of
// it is in force. One that cannot be used is refused as a whole. It tells whether a new version runs.
func (c *configuration) reload(prepare func(*config.Config)) bool {
	next, err := config.Load(c.path)
	if err == nil {
		err = checkStatic(c.now(), next)
	}
	if err != nil {
		c.refuse(err)
		return false
	}
	if reflect.DeepEqual(c.now(), next) {
		c.refuse(nil)
		return false
	}
	prepare(next)
	c.takeOver(next)
	c.log.Info("configuration taken over", "revision", next.Revision)
	return true
}

// checkStatic refuses a change that takes a new process.
func checkStatic(running, next *config.Config) error {
	changed := config.Static(running, next)
	if len(changed) == 0 {
		return nil
	}
	return fmt.Errorf("configuration of revision %q changes %s, for which the server has to be started again",
		next.Revision, strings.Join(changed, ", "))
}

// refuse remembers why the file was not taken over, nil if it is what runs. It logs what was not known before.
func (c *configuration) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && textOf(err) != textOf(c.refused) {
		c.log.Error("configuration refused, the one before it runs on", "running", c.now().Revision, "error", err)
	}
	c.refused = err
}

// textOf gives an error's text, none for none.
func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (c *configuration) status() control.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return control.Config{Revision: c.now().Revision, Error: textOf(c.refused)}
}

// age tells since when the running version runs, and whether the file is that version.
func (c *configuration) age() (since time.Time, current bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since, c.refused == nil
}

func (c *configuration) pop3() pop3.Settings { return pop3.SettingsOf(c.now()) }

func (c *configuration) lmtp() lmtp.Settings {
	now := c.now()
	settings := lmtp.Settings{
		Hostname:                 now.Hostname,
		MaxMessageOctets:         now.LMTP.MaxMessageOctets,
		MaxRecipients:            now.LMTP.MaxRecipients,
		OverQuotaReply:           now.LMTP.OverQuotaReply,
		SubaddressSeparator:      now.LMTP.SubaddressSeparator,
		MaxConnections:           now.LMTP.MaxConnections,
		MaxConnectionsPerAddress: now.LMTP.MaxConnectionsPerAddress,
		IdleTimeout:              time.Duration(now.LMTP.IdleSeconds) * time.Second,
		HandshakeTimeout:         time.Duration(now.Timeouts.TLSHandshakeSeconds) * time.Second,
	}
	if now.LMTP.TLS != nil {
		settings.TLS = now.LMTP.TLS.Mode
	}
	return settings
}

// maxConcurrentVerifications leaves a core to the sessions: more checks at once would take as long together, and others longer.
func (c *configuration) maxConcurrentVerifications() int {
	return min(c.now().Limits.MaxConcurrentVerifications, max(1, runtime.GOMAXPROCS(0)-1))
}
