package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/popservice/popservice/controllers"
)

// Times of leader election that bear an API server which is slow for a while.
const (
	leaseDuration = 60 * time.Second
	renewDeadline = 40 * time.Second
	retryPeriod   = 15 * time.Second
)

func run(ctx context.Context, o options) error {
	logger := newLogger(o.logLevel)
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	config.QPS, config.Burst = o.qps, o.burst
	config.UserAgent = "popservice-manager/" + version
	lease, renew, retry := leaseDuration, renewDeadline, retryPeriod
	managerOptions := controllers.ManagerOptions(o.watchNamespaces)
	managerOptions.LeaderElection = o.leaderElect
	managerOptions.LeaderElectionID = o.leaderLease
	managerOptions.LeaderElectionNamespace = o.namespace
	managerOptions.LeaderElectionReleaseOnCancel = true
	managerOptions.LeaseDuration, managerOptions.RenewDeadline, managerOptions.RetryPeriod = &lease, &renew, &retry
	managerOptions.Metrics.BindAddress = o.metricsAddress
	managerOptions.HealthProbeBindAddress = o.healthAddress
	mgr, err := ctrl.NewManager(config, managerOptions)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := controllers.Add(ctx, mgr, controllers.Options{Image: o.serverImage, Namespace: o.namespace}); err != nil {
		return err
	}
	logger.Info("starting", "version", version, "serverImage", o.serverImage, "watchNamespaces", o.watchNamespaces)
	return mgr.Start(ctx)
}
