// Package admin serves the two ports beside the mail ports.
//
// The first speaks plain HTTP: /healthz for liveness, /readyz for readiness and /metrics for Prometheus (see Handler).
// The second, the control port, speaks HTTPS with mutual TLS and tells the operator what the server has loaded (see
// ControlHandler and Identity). Neither names a mailbox.
package admin

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Both ports answer short requests with short replies; who takes longer is not one of theirs.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	idleTimeout    = 2 * time.Minute // Prometheus and the operator come back within it
	maxHeaderBytes = 8 << 10
	stopGrace      = 2 * time.Second
)

// Serve answers the requests that come in on the listener until ctx is done, and gives those under way a moment to end.
// It closes the listener. The error says why it stopped by itself; nil says that ctx was done.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	cancelStop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		stop(ctx, server)
	})
	err := server.Serve(listener)
	if cancelStop() {
		return err
	}
	<-stopped
	return nil
}

func stop(ctx context.Context, server *http.Server) {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close()
	}
}
