// Package conformance tests what a POP3 server does on the wire against [MS-STANXPOP3], RFC 1939, RFC 2449, RFC 2595 and
// RFC 5034. It knows nothing of the server but its ports.
//
// By itself it builds pop3d and starts it, once for each test, with the settings that the test is about:
//
//	go test ./test/conformance
//
// It can be pointed at any other server. What needs a setting that cannot be known of that one is skipped and says so. The
// mailbox must be one made for this: all mail in it is removed.
//
//	go test ./test/conformance -server host:110 -user name -password secret -lmtp host:24 -recipient address
//	  [-tls host:995]
//
// A test bears the ID of the statement that it is about: S2_1_1 is §2.1.1. docs/standards-support.md has all of them in a
// table, and statements_test.go sees to it that the two agree.
package conformance

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	// Nothing of it is used: it makes `go test` know when the program has changed, and a result that it remembers is old.
	_ "github.com/popservice/popservice/pop3server/server"
)

// These name a server to test in place of pop3d.
var (
	foreignServer    = flag.String("server", "", "host:port of a POP3 server to test in place of pop3d")
	foreignTLS       = flag.String("tls", "", "host:port where it begins with TLS")
	foreignUser      = flag.String("user", "", "name of a mailbox, whose mail is removed")
	foreignPassword  = flag.String("password", "", "password of the mailbox")
	foreignLMTP      = flag.String("lmtp", "", "host:port where it takes mail over LMTP")
	foreignRecipient = flag.String("recipient", "", "address of the mailbox")
)

// together is how many tests run at the same time, unless -parallel says otherwise. They wait for timers more than they work.
const together = "20"

// pop3d is the program, built once.
var pop3d string

func TestMain(m *testing.M) {
	flag.Parse()
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if pop3d != "" {
		_ = os.RemoveAll(filepath.Dir(pop3d))
	}
	os.Exit(code)
}

func prepare() error {
	if *foreignServer != "" {
		if slices.Contains([]string{*foreignUser, *foreignPassword, *foreignLMTP, *foreignRecipient}, "") {
			return errors.New("-server needs -user and -password to log in, and -lmtp and -recipient to bring mail there")
		}
		return nil
	}
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", together)
	}
	return build()
}

func build() error {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return err
	}
	pop3d = filepath.Join(dir, "pop3d")
	command := exec.Command("go", "build", "-o", pop3d, "../../cmd/pop3d")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	command.Stderr = os.Stderr
	return command.Run()
}
