// Command manager is the operator: it turns PopServices and Mailboxes into running POP3 servers.
package main

import (
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
)

// version is set when the program is built (-ldflags "-X main.version=…").
var version = "dev"

func main() {
	options, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "manager: %v\n", err)
		os.Exit(2)
	}
	if options.showVersion {
		fmt.Println(version)
		return
	}
	if err := run(ctrl.SetupSignalHandler(), options); err != nil {
		fmt.Fprintf(os.Stderr, "manager: %v\n", err)
		os.Exit(1)
	}
}
