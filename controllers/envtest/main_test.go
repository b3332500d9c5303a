//go:build envtest

// Package envtest runs the operator against a real API server with a real controller manager, so that Deployments get
// pods, claims get volumes and what is owned is collected. In the place of a kubelet, a few lines give each pod an
// address, put its volumes into a folder, and run the real server on them (see kubelet_test.go). `make envtest` builds
// the programs that this needs.
package envtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/popservice/popservice/controllers"
)

const (
	assetsVariable    = "KUBEBUILDER_ASSETS"
	controllerManager = "kube-controller-manager"
	startTimeout      = 2 * time.Minute
	image             = "popservice/pop3d:test"
	managerNamespace  = "popservice-system"
)

// What all tests share.
var (
	kube    client.Client // the tests' own
	config  *rest.Config
	watched writes // by the operator
)

func main(m *testing.M) (code int, err error) {
	assets := os.Getenv(assetsVariable)
	if assets == "" {
		return 1, fmt.Errorf("%s names no folder with etcd, kube-apiserver and %s: run 'make envtest', which builds them",
			assetsVariable, controllerManager)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctrl.SetLogger(logr.Discard())
	plane := &envtest.Environment{
		CRDDirectoryPaths:        []string{filepath.Join("..", "..", "config", "crd")},
		ErrorIfCRDPathMissing:    true,
		BinaryAssetsDirectory:    assets,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  startTimeout,
		Scheme:                   controllers.Scheme(),
	}
	defer func() { err = firstError(err, plane.Stop()) }() // also where not all of it has started
	if config, err = plane.Start(); err != nil {
		return 1, fmt.Errorf("start the API server: %w", err)
	}
	if kube, err = client.New(config, client.Options{Scheme: controllers.Scheme()}); err != nil {
		return 1, err
	}
	for _, start := range []func() (stop func(), err error){
		func() (func(), error) { return startControllerManager(ctx, assets, plane.KubeConfig) },
		func() (func(), error) { return startKubelet(ctx) },
		func() (func(), error) { return startOperator(config, watched.record) },
	} {
		stop, err := start()
		if err != nil {
			return 1, err
		}
		defer stop()
	}
	if err := makeVolumes(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func TestMain(m *testing.M) {
	code, err := main(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "envtest:", err)
		code = 1
	}
	os.Exit(code)
}

// startControllerManager runs those controllers that make Deployments, claims and ownership what they are.
func startControllerManager(ctx context.Context, assets string, kubeconfig []byte) (func(), error) {
	folder, err := os.MkdirTemp("", "popservice-envtest-")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, "kubeconfig")
	if err := os.WriteFile(path, kubeconfig, 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, filepath.Join(assets, controllerManager),
		"--kubeconfig="+path, "--authentication-kubeconfig="+path, "--authorization-kubeconfig="+path,
		"--leader-elect=false", "--secure-port=0", "--use-service-account-credentials=false", "--concurrent-gc-syncs=5",
		"--controllers=deployment-controller,replicaset-controller,garbage-collector-controller,namespace-controller,"+
			"persistentvolume-binder-controller,persistentvolumeclaim-protection-controller")
	command.Stdout, command.Stderr = log, log
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", controllerManager, err)
	}
	return func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		_ = log.Close()
		_ = os.RemoveAll(folder)
	}, nil
}

// startOperator runs the operator as cmd/manager does, in this process; record sees its requests.
func startOperator(config *rest.Config, record transportWrapper) (stop func(), err error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 100, 200
	config.Wrap(record)
	options := controllers.ManagerOptions(nil)
	options.Metrics.BindAddress = "0"
	options.Controller.SkipNameValidation = new(true) // a test starts it again
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return nil, fmt.Errorf("make the operator: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := controllers.Add(ctx, mgr, controllers.Options{Image: image, Namespace: managerNamespace}); err != nil {
		cancel()
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			fmt.Fprintln(os.Stderr, "envtest: the operator failed:", err)
		}
	}, nil
}
