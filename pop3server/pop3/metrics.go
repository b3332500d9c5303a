package pop3

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/popservice/popservice/pop3server/config"
)

// metrics are those of one server. No label has a value that a client chooses, and none names a mailbox.
type metrics struct {
	logins           *prometheus.CounterVec
	refused          prometheus.Counter
	handshakesFailed prometheus.Counter
	headersRefused   prometheus.Counter
	durations        map[string]map[string]prometheus.Observer // by command and result
	traffic          traffic
}

// otherCommand is the label of what is not a command.
const otherCommand = "other"

var commandBuckets = []float64{.0001, .001, .01, .1, 1, 10, 60}

func newMetrics(registerer prometheus.Registerer, sessions func() int) *metrics {
	logins := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pop3d_logins_total", Help: "Logins, by mechanism and result.",
	}, []string{"mechanism", "result"})
	octets := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pop3d_octets_total", Help: "Octets received from and sent to POP3 clients, without those of TLS.",
	}, []string{"direction"})
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "pop3d_command_duration_seconds", Help: "Time to carry out a POP3 command, by command and result.",
		Buckets: commandBuckets,
	}, []string{"command", "result"})
	m := &metrics{
		logins: logins,
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pop3d_connections_refused_total", Help: "POP3 connections refused because there were too many.",
		}),
		handshakesFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pop3d_tls_handshakes_failed_total", Help: "TLS handshakes with POP3 clients that failed.",
		}),
		headersRefused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pop3d_proxy_headers_refused_total",
			Help: "POP3 connections of proxies that were dropped because no valid PROXY header came in time.",
		}),
		durations: observers(durations),
		traffic:   traffic{octets.WithLabelValues("received"), octets.WithLabelValues("sent")},
	}
	registerer.MustRegister(logins, octets, durations, m.refused, m.handshakesFailed, m.headersRefused, newSessionsGauge(sessions))
	return m
}

func newSessionsGauge(sessions func() int) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pop3d_sessions", Help: "POP3 connections that are open.",
	}, func() float64 { return float64(sessions()) })
}

// observers looks all pairs of labels up once, which costs more than to observe.
func observers(durations *prometheus.HistogramVec) map[string]map[string]prometheus.Observer {
	all := make(map[string]map[string]prometheus.Observer, len(commands)+1)
	add := func(command string) {
		all[command] = make(map[string]prometheus.Observer, 3)
		for _, result := range []string{"ok", "refused", "failed"} {
			all[command][result] = durations.WithLabelValues(command, result)
		}
	}
	for command := range commands {
		add(command)
	}
	add(otherCommand)
	return all
}

// observe counts a command.
func (m *metrics) observe(keyword, result string, d time.Duration) {
	byResult, ok := m.durations[keyword]
	if !ok {
		byResult = m.durations[otherCommand]
	}
	byResult[result].Observe(d.Seconds())
}

// login counts a login.
func (m *metrics) login(mechanism config.Mechanism, result string) {
	m.logins.WithLabelValues(string(mechanism), result).Inc()
}
