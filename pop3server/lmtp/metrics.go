package lmtp

import "github.com/prometheus/client_golang/prometheus"

// metrics name no mailbox.
type metrics struct {
	replies *prometheus.CounterVec
	octets  prometheus.Counter
	seconds prometheus.Histogram
	refused prometheus.Counter
	foreign prometheus.Counter

	handshakesFailed prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, connections func() float64) metrics {
	m := metrics{
		replies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pop3d_lmtp_recipients_total",
			Help: "Recipients that were answered for good, by the reply's enhanced status code; 2.0.0 are deliveries.",
		}, []string{"status"}),
		octets: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pop3d_lmtp_received_octets_total",
			Help: "Octets of message text that were received.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pop3d_lmtp_delivery_seconds",
			Help:    "Time from a message's first octet until it is stored for all recipients, the client's sending included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pop3d_lmtp_refused_connections_total",
			Help: "Connections that were turned away with 421.",
		}),
		foreign: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pop3d_lmtp_foreign_owner_total",
			Help: "Recipients that were deferred because the maildrop belongs to another owner than the mailbox.",
		}),
		handshakesFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pop3d_lmtp_tls_handshakes_failed_total",
			Help: "TLS handshakes that failed, those of clients without the certificate they need included.",
		}),
	}
	now := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pop3d_lmtp_connections",
		Help: "Connections now.",
	}, connections)
	registerer.MustRegister(m.replies, m.octets, m.seconds, m.refused, m.foreign, m.handshakesFailed, now)
	return m
}
