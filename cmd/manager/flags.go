package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// options are what the command line and the environment say.
type options struct {
	serverImage     string
	namespace       string
	watchNamespaces []string
	leaderElect     bool
	leaderLease     string
	metricsAddress  string
	healthAddress   string
	logLevel        string
	qps             float32
	burst           int
	showVersion     bool
}

func parse(args []string) (options, error) {
	var o options
	flags := pflag.NewFlagSet("manager", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.serverImage, "server-image", "", "image of pop3d for PopServices that name none (required)")
	flags.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "where the operator runs; default $POD_NAMESPACE")
	flags.StringSliceVar(&o.watchNamespaces, "watch-namespaces", nil, "namespaces to look after; none means all")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "elect a leader: needed with more than one replica")
	flags.StringVar(&o.leaderLease, "leader-lease", "popservice-manager", "name of the Lease by which a leader is elected")
	flags.StringVar(&o.metricsAddress, "metrics-address", ":8080", "address of /metrics; 0 serves none")
	flags.StringVar(&o.healthAddress, "health-address", ":8081", "address of /healthz and /readyz")
	flags.StringVar(&o.logLevel, "log-level", "info", "debug, info or error")
	flags.Float32Var(&o.qps, "kube-api-qps", 100, "requests a second to the API server, on average")
	flags.IntVar(&o.burst, "kube-api-burst", 200, "requests to the API server at once")
	flags.BoolVar(&o.showVersion, "version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			err = errors.New("the flags are:\n" + flags.FlagUsages())
		}
		return o, err
	}
	return o, o.check(flags.Args())
}

func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", strings.Join(rest, " "))
	case o.showVersion:
		return nil
	case o.serverImage == "":
		return errors.New("--server-image must name the image of pop3d")
	case o.namespace == "":
		return errors.New("--namespace or $POD_NAMESPACE must name the namespace in which the operator runs")
	case !slices.Contains([]string{"debug", "info", "error"}, o.logLevel):
		return fmt.Errorf("--log-level is %q, it must be debug, info or error", o.logLevel)
	}
	return nil
}
