//go:build e2e

// Package e2e runs everything as users have it: the chart in a cluster with a real node, mail that comes in over LMTP, and
// mail clients that fetch it through the Service. `make e2e` starts such a cluster and runs these tests inside its network.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
)

const (
	root            = "../.."
	systemNamespace = "popservice-system"
	managerName     = "popservice-manager"
	// testLabel marks the namespaces of these tests.
	testLabel = "popservice.io/e2e"
)

// kube is the API server as the cluster's administrator sees it.
var kube client.Client

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	if err := setUp(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return m.Run()
}

func setUp() error {
	if err := checkPrograms(); err != nil {
		return err
	}
	if err := connect(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := removeEarlierRun(ctx); err != nil {
		return err
	}
	return installChart(ctx)
}

// checkPrograms finds what the tests run.
func checkPrograms() error {
	var missing []error
	for _, program := range []string{"kubectl", "helm"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, fmt.Errorf("%s is not there: run the tests by `make e2e`", program))
		}
	}
	for _, program := range []string{
		"curl", "python3", "mpop", "postfix", "doveadm", "fetchmail", "getmail", "perl", "neomutt", "nmap", "testssl",
		"/usr/sbin/krb5kdc", "/usr/sbin/kadmin.local", "/usr/sbin/kdb5_util", "kinit",
	} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, fmt.Errorf("%s is not there: run the tests by `make e2e` as root, which installs it", program))
		}
	}
	if _, err := exec.Command("/usr/bin/python3", "-c", "import gssapi").Output(); err != nil {
		missing = append(missing, errors.New("Python has no gssapi: run the tests by `make e2e` as root, which installs it"))
	}
	// Net::POP3 comes with Perl, but TLS does not.
	if _, err := exec.Command("perl", "-MIO::Socket::SSL", "-e", "1").Output(); err != nil {
		missing = append(missing, errors.New("Perl has no IO::Socket::SSL: run the tests by `make e2e` as root, which installs it"))
	}
	return errors.Join(missing...)
}

func connect() error {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		return errors.New("KUBECONFIG is not set: run the tests by `make e2e`")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	config.QPS, config.Burst = 100, 200
	config.WarningHandler = rest.NoWarnings{}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	kube, err = client.New(config, client.Options{Scheme: scheme})
	return err
}

// removeEarlierRun deletes the namespaces of a run that was cut off, where the cluster is still the same.
func removeEarlierRun(ctx context.Context) error {
	var left corev1.NamespaceList
	if err := kube.List(ctx, &left, client.HasLabels{testLabel}); err != nil {
		return fmt.Errorf("listing namespaces: %w", err)
	}
	for _, namespace := range left.Items {
		command := exec.CommandContext(ctx, "kubectl", "delete", "namespace", namespace.Name, "--timeout=2m")
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("deleting namespace %s of an earlier run: %w: %s", namespace.Name, err, output)
		}
	}
	return nil
}
