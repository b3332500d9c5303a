package server

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// registerMetrics adds the metrics of the whole to those of the parts. None names a mailbox.
func (s *server) registerMetrics() {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pop3d_build_info", Help: "1, with the program's version.",
		ConstLabels: prometheus.Labels{"version": s.options.Version, "goversion": runtime.Version()},
	})
	build.Set(1)
	s.registry.MustRegister(build, stateCollector{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

var (
	configSince = prometheus.NewDesc("pop3d_config_loaded_timestamp_seconds",
		"When the configuration that runs was taken over.", nil, nil)
	configCurrent = prometheus.NewDesc("pop3d_config_last_reload_successful",
		"1 if the configuration file is what runs, 0 if it was refused.", nil, nil)
	directoryMailboxes = prometheus.NewDesc("pop3d_directory_mailboxes",
		"Mailboxes in the directory.", nil, nil)
	directoryProblems = prometheus.NewDesc("pop3d_directory_problems",
		"Things in the directory that cannot be used.", nil, nil)
	certificateExpiry = prometheus.NewDesc("pop3d_certificate_not_after_timestamp_seconds",
		"When the certificate that is served expires.", []string{"certificate"}, nil)
	certificateCurrent = prometheus.NewDesc("pop3d_certificate_last_reload_successful",
		"1 if the certificate's files are what is served, 0 if they were refused.", []string{"certificate"}, nil)
	drainingNow = prometheus.NewDesc("pop3d_draining",
		"1 if the server is draining.", nil, nil)
)

// stateCollector tells what is in force when it is asked.
type stateCollector struct{ *server }

// Describe implements prometheus.Collector.
func (c stateCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		configSince, configCurrent, directoryMailboxes, directoryProblems, certificateExpiry, certificateCurrent, drainingNow,
	} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	since, current := c.configuration.age()
	gauge(configSince, unix(since))
	gauge(configCurrent, oneIf(current))
	served := c.mailboxes.served.Load()
	gauge(directoryMailboxes, float64(served.Len()))
	gauge(directoryProblems, float64(len(served.problems)))
	for _, told := range c.certificates.served.Load().status() {
		gauge(certificateCurrent, oneIf(told.Error == ""), told.Name)
		if told.Fingerprint != "" {
			gauge(certificateExpiry, unix(told.NotAfter), told.Name)
		}
	}
	gauge(drainingNow, oneIf(c.draining.Load()))
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
