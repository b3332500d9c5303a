package authn

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	remembered, matched, rejected, busy prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) metrics {
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pop3d_password_checks_total",
		Help: "Passwords checked, by outcome: remembered (right, without a hash), matched, rejected, or busy (not checked).",
	}, []string{"result"})
	registerer.MustRegister(checks)
	return metrics{
		remembered: checks.WithLabelValues("remembered"),
		matched:    checks.WithLabelValues("matched"),
		rejected:   checks.WithLabelValues("rejected"),
		busy:       checks.WithLabelValues("busy"),
	}
}
