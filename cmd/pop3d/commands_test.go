package main_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// run runs the program to its end.
func run(t *testing.T, input string, arguments ...string) (code int, output, errors string) {
	t.Helper()
	command := exec.Command(binary, arguments...)
	var out, errs bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &errs
	_ = command.Run()
	return command.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		arguments string
		code      int
		errors    string
	}{
		{"nonsense", 2, `pop3d: unknown command "nonsense" for "pop3d"` + "\n"},
		{"serve", 2, `pop3d: required flag(s) "config" not set` + "\n"},
		{"check", 2, `pop3d: required flag(s) "config" not set` + "\n"},
		{"serve --port 110", 2, "pop3d: unknown flag: --port\n"},
		{"check --config /nonexistent", 1, "pop3d: read configuration: open /nonexistent: no such file or directory\n"},
		{"version", 0, ""},
		{"help", 0, ""},
	} {
		code, _, errors := run(t, "", strings.Fields(test.arguments)...)
		if code != test.code || errors != test.errors {
			t.Errorf("pop3d %s: exit code %d, %q", test.arguments, code, errors)
		}
	}
	if _, output, _ := run(t, "", "version"); output != "1.2.3\n" {
		t.Errorf("version %q", output)
	}
}

func TestHash(t *testing.T) {
	for input, password := range map[string]string{
		"open sesame\n": "open sesame", "pass \r\n": "pass ", "no line end": "no line end", "first\nsecond\n": "first",
	} {
		code, output, errors := run(t, input, "hash")
		v, err := verifier.Parse(strings.TrimSuffix(output, "\n"))
		if code != 0 || errors != "" || err != nil || !v.Matches([]byte(password)) {
			t.Errorf("%q: exit code %d, %q, %q, %v", input, code, output, errors, err)
		}
	}
	for _, input := range []string{"", "\n", "\r\n"} {
		if code, output, errors := run(t, input, "hash"); code != 1 || output != "" || errors != "pop3d: the password is empty\n" {
			t.Errorf("%q: exit code %d, %q, %q", input, code, output, errors)
		}
	}
}

func TestHashSchemes(t *testing.T) {
	for scheme, want := range map[string]string{
		"ARGON2ID": "{ARGON2ID}$argon2id$", "SCRAM-SHA-256": "{SCRAM-SHA-256}15000,", "SSHA512": "{SSHA512}",
		"NT": "{NT}eddcf896aaf1f0c3f83d4daa964f17bf\n", "nt": "{NT}eddcf896aaf1f0c3f83d4daa964f17bf\n",
		"SHA512-CRYPT": "{SHA512-CRYPT}$6$", "BLF-CRYPT": "{BLF-CRYPT}$2",
	} {
		code, output, errors := run(t, "open sesame\n", "hash", "--scheme", scheme)
		v, err := verifier.Parse(strings.TrimSuffix(output, "\n"))
		if code != 0 || errors != "" || err != nil || !v.Matches([]byte("open sesame")) || !strings.HasPrefix(output, want) {
			t.Errorf("%s: exit code %d, %q, %q, %v", scheme, code, output, errors, err)
		}
	}
	code, output, errors := run(t, strings.Repeat("x", 73), "hash", "--scheme", "BLF-CRYPT")
	want := "pop3d: the password is too long for this scheme, or has a NUL in it\n"
	if code != 1 || output != "" || errors != want {
		t.Errorf("73 octets: exit code %d, %q, %q", code, output, errors)
	}
	code, output, errors = run(t, "x", "hash", "--scheme", "SHA512")
	if want := `invalid argument "SHA512" for "--scheme" flag: want one of ARGON2ID, SCRAM-SHA-256, `; code != 2 || output != "" ||
		!strings.Contains(errors, want) {
		t.Errorf("SHA512: exit code %d, %q, %q", code, output, errors)
	}
	if _, output, _ := run(t, "", "hash", "--help"); !strings.Contains(output, "NTLM as well. It is password-equivalent") ||
		!strings.Contains(output, "(default ARGON2ID)") {
		t.Errorf("the help is %s", output)
	}
}

func TestCheck(t *testing.T) {
	p := newProgram(t)
	if code, output, errors := run(t, "", "check", "--config", p.configPath()); code != 0 || output != "ok\n" || errors != "" {
		t.Errorf("exit code %d, %q, %q", code, output, errors)
	}
	p.config.Limits.MaxCommandOctets, p.config.Maildrop.Path = 7, ""
	p.writeConfig()
	code, output, errors := run(t, "", "check", "--config", p.configPath())
	want := "pop3d: configuration " + p.configPath() + ": maildrop.path: must be set\n" +
		"limits.maxCommandOctets: 7 is out of range 40 to 1024\n"
	if code != 1 || output != "" || errors != want {
		t.Errorf("exit code %d, %q, %q; want %q", code, output, errors, want)
	}
}

// A server that does not know what it should be, or cannot be that, does not start, and says what to do.
func TestStartRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = taken.Close() }()
	for name, test := range map[string]struct {
		change func(*program)
		want   []string
	}{
		"wrong setting": {
			func(p *program) { p.config.Authentication.LoginType = "None" },
			[]string{`authentication.loginType: "None" is not one of`, "pop3d check --config"},
		},
		"address in use": {
			func(p *program) { p.config.Listeners[1].Address = taken.Addr().String() },
			[]string{"listeners[1].address: listen tcp " + taken.Addr().String(), "another program has this address"},
		},
		"no such address": {
			func(p *program) { p.config.LMTP.Address = "192.0.2.1:24" },
			[]string{"lmtp.address: listen tcp 192.0.2.1:24", "correct the setting"},
		},
		"store": {
			func(p *program) {
				must(t, os.WriteFile(filepath.Join(p.dir, "file"), nil, 0o600))
				p.config.Maildrop = config.Maildrop{Path: filepath.Join(p.dir, "file", "maildrops")}
			},
			[]string{"maildrop.path: open maildrop store", "make sure that this user may write to"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram(t).prepare()
			test.change(p)
			p.writeConfig()
			code, _, errors := run(t, "", "serve", "--config", p.configPath())
			if code != 1 || !strings.Contains(errors, "pop3d: ") {
				t.Errorf("exit code %d, %q", code, errors)
			}
			for _, want := range test.want {
				if !strings.Contains(errors, want) {
					t.Errorf("%q does not say %q", errors, want)
				}
			}
		})
	}
}
