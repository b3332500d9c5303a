package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const minimal = `
apiVersion: pop3d.popservice.io/v1
kind: Config
listeners:
- {name: pop3, address: ":110", security: StartTLS}
- {name: pop3s, address: ":995", security: ImplicitTLS}
lmtp: {address: ":24"}
admin: {address: ":8080"}
directory: {path: /etc/pop3d/directory}
maildrop: {path: /var/mail}
`

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseFillsInExchangeDefaults(t *testing.T) {
	c := parse(t, minimal)
	want := Limits{
		MaxCommandOctets: 512, MaxConnections: 10000, MaxConnectionsPerAddress: 2000, MaxConnectionsPerMailbox: 16,
		MaxFailedLogins: 3, MaxBadCommands: 20, MaxConcurrentVerifications: 4,
		MaxFailedLoginsPerAddress: 1000, MaxFailedLoginsPerMailbox: 100, LockoutSeconds: 900,
	}
	if diff := cmp.Diff(want, c.Limits); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	if c.Timeouts.PreAuthenticatedSeconds != 60 || c.Timeouts.AuthenticatedSeconds != 1800 {
		t.Errorf("timers %+v, want 60 s and 1800 s (V0002)", c.Timeouts)
	}
	if c.Authentication.LoginType != SecureLogin || c.LMTP.OverQuotaReply != Reject || c.Maildrop.Size != StorageSize {
		t.Errorf("defaults differ from Exchange's: %+v %+v %+v", c.Authentication, c.LMTP, c.Maildrop)
	}
}

func TestParseFillsInDefaultsOfLMTP(t *testing.T) {
	const with = `lmtp: {address: ":24", tls: {certFile: c, keyFile: k, clientCAFile: a}}`
	text := strings.Replace(minimal, `lmtp: {address: ":24"}`, with, 1)
	want := &LMTP{
		Address: ":24", MaxMessageOctets: 50 << 20, MaxRecipients: 1000, OverQuotaReply: Reject, MaxConnections: 500,
		MaxConnectionsPerAddress: 100, IdleSeconds: 300,
		TLS: &LMTPTLS{CertFile: "c", KeyFile: "k", ClientCAFile: "a", Mode: LMTPTLSRequired},
	}
	if diff := cmp.Diff(want, parse(t, text).LMTP); diff != "" {
		t.Errorf("LMTP (-want +got):\n%s", diff)
	}
}

func TestParseRefusesUnknownAndRepeatedFields(t *testing.T) {
	for _, extra := range []string{"limit: {}", "kind: Config", "limits: {maxCommandOctet: 100}"} {
		if _, err := Parse([]byte(minimal + extra + "\n")); err == nil {
			t.Errorf("%q was accepted", extra)
		}
	}
}

func TestEncodeRoundTrip(t *testing.T) {
	c := parse(t, minimal)
	text, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	again := parse(t, string(text))
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("after Encode and Parse (-want +got):\n%s", diff)
	}
	if second, _ := Encode(again); string(second) != string(text) {
		t.Errorf("Encode is not deterministic:\n%s\n%s", text, second)
	}
}

func TestValidateNamesFieldAndRange(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"api version", func(c *Config) { c.APIVersion = "v2" }, `apiVersion: "v2" is not one of ["pop3d.popservice.io/v1"]`},
		{"kind", func(c *Config) { c.Kind = "" }, `kind: "" is not one of ["Config"]`},
		{"host name", func(c *Config) { c.Hostname = "a b" }, `hostname: "a b" is not a host name`},
		{"no listener", func(c *Config) { c.Listeners = nil }, "the number of listeners: 0 is out of range 1 to 8"},
		{"name twice", func(c *Config) { c.Listeners[1].Name = "pop3" },
			`listeners[1].name: "pop3" is taken by listeners[0].name already`},
		{"bad name", func(c *Config) { c.Listeners[0].Name = "POP" }, `listeners[0].name: "POP" must be 1 to 63 characters`},
		{"address twice", func(c *Config) { c.LMTP.Address = ":110" },
			`lmtp.address: ":110" is taken by listeners[0].address already`},
		{"bad port", func(c *Config) { c.Listeners[0].Address = ":65536" }, `listeners[0].address: ":65536" must have the form`},
		{"no port", func(c *Config) { c.Admin.Address = "localhost" }, `admin.address: "localhost" must have the form host:port`},
		{"security", func(c *Config) { c.Listeners[0].Security = "TLS" }, `listeners[0].security: "TLS" is not one of`},
		{"message size", func(c *Config) { c.LMTP.MaxMessageOctets = -1 },
			"lmtp.maxMessageOctets: -1 is out of range 1 to 2147483648"},
		{"recipients", func(c *Config) { c.LMTP.MaxRecipients = 10001 }, "lmtp.maxRecipients: 10001 is out of range 100 to 10000"},
		{"few recipients", func(c *Config) { c.LMTP.MaxRecipients = 99 }, "lmtp.maxRecipients: 99 is out of range 100 to 10000"},
		{"LMTP connections", func(c *Config) { c.LMTP.MaxConnections = -1 }, "lmtp.maxConnections: -1 is out of range 1 to"},
		{"LMTP connections of an address", func(c *Config) { c.LMTP.MaxConnectionsPerAddress = -1 },
			"lmtp.maxConnectionsPerAddress: -1 is out of range 1 to"},
		{"LMTP idle", func(c *Config) { c.LMTP.IdleSeconds = 86401 }, "lmtp.idleSeconds: 86401 is out of range 1 to 86400"},
		{"long separator", func(c *Config) { c.LMTP.SubaddressSeparator = "++" }, `lmtp.subaddressSeparator: "++" must be one of`},
		{"separator in every address", func(c *Config) { c.LMTP.SubaddressSeparator = "@" },
			`lmtp.subaddressSeparator: "@" must be one of the characters !#$%&'*+`},
		{"letter for a separator", func(c *Config) { c.LMTP.SubaddressSeparator = "a" },
			`lmtp.subaddressSeparator: "a" must be one of`},
		{"LMTP TLS", func(c *Config) { c.LMTP.TLS = &LMTPTLS{CertFile: "c", Mode: LMTPTLSRequired} },
			"lmtp.tls.keyFile: must be set"},
		{"LMTP TLS without certificate", func(c *Config) { c.LMTP.TLS = &LMTPTLS{Mode: LMTPTLSRequired} },
			"lmtp.tls.certFile: must be set"},
		{"LMTP TLS mode", func(c *Config) { c.LMTP.TLS = &LMTPTLS{CertFile: "c", KeyFile: "k", Mode: "STARTTLS"} },
			`lmtp.tls.mode: "STARTTLS" is not one of ["Required" "Offered"]`},
		{"LMTP client CA that is gone round", func(c *Config) {
			c.LMTP.TLS = &LMTPTLS{CertFile: "c", KeyFile: "k", ClientCAFile: "a", Mode: LMTPTLSOffered}
		}, "lmtp.tls.clientCAFile: a client could go round it without TLS: set lmtp.tls.mode to Required"},
		{"over quota", func(c *Config) { c.LMTP.OverQuotaReply = "Drop" }, `lmtp.overQuotaReply: "Drop" is not one of`},
		{"control files", func(c *Config) { c.Admin.Control = &Control{Address: ":8443", CertFile: "c", KeyFile: "k"} },
			"admin.control.clientCAFile: must be set"},
		{"directory", func(c *Config) { c.Directory.Path = "" }, "directory.path: must be set"},
		{"maildrop", func(c *Config) { c.Maildrop.Path = "" }, "maildrop.path: must be set"},
		{"size", func(c *Config) { c.Maildrop.Size = "Big" }, `maildrop.size: "Big" is not one of ["Storage" "Exact"]`},
		{"tls version", func(c *Config) { c.TLS.MinVersion = "TLS10" }, `tls.minVersion: "TLS10" is not one of`},
		{"certificate", func(c *Config) { c.TLS.Certificates = []Certificate{{Name: "a", CertFile: "c"}} },
			"tls.certificates[0].keyFile: must be set"},
		{"server name", func(c *Config) {
			c.TLS.Certificates = []Certificate{{Name: "a", CertFile: "c", KeyFile: "k", ServerNames: []string{"a.*"}}}
		}, `tls.certificates[0].serverNames[0]: "a.*" is not a host name`},
		{"login type", func(c *Config) { c.Authentication.LoginType = "Any" }, `authentication.loginType: "Any" is not one of`},
		{"mechanism", func(c *Config) { c.Authentication.Mechanisms = []Mechanism{"APOP"} },
			`authentication.mechanisms[0]: "APOP" is not one of ["USER" "PLAIN"`},
		{"mechanism twice", func(c *Config) { c.Authentication.Mechanisms = []Mechanism{"USER", "USER"} },
			`authentication.mechanisms[1]: "USER" is taken by authentication.mechanisms[0] already`},
		{"timer", func(c *Config) { c.Timeouts.DrainSeconds = -1 }, "timeouts.drainSeconds: -1 is out of range 1 to 86400"},
		{"long command", func(c *Config) { c.Limits.MaxCommandOctets = 1025 },
			"limits.maxCommandOctets: 1025 is out of range 40 to 1024"},
		{"short command", func(c *Config) { c.Limits.MaxCommandOctets = 39 },
			"limits.maxCommandOctets: 39 is out of range 40 to 1024"},
		{"failed logins", func(c *Config) { c.Limits.MaxFailedLogins = -3 },
			"limits.maxFailedLogins: -3 is out of range 1 to 2147483647"},
		{"long banner", func(c *Config) { c.Banner = strings.Repeat("x", 507) }, "banner: has 507 octets, at most 506 are allowed"},
		{"banner of two lines", func(c *Config) { c.Banner = "a\r\nb" }, "banner: must not have CR, LF or NUL"},
		{"banner with timestamp", func(c *Config) { c.Banner = "hi <1896.697@dbc.example>" }, "banner: must not have a text of"},
		{"banner with a response code", func(c *Config) {
			c.Banner, c.ExtendedCapabilities = "[x] ready", []Capability{CapabilityRespCodes}
		}, "banner: must not begin with [ where extendedCapabilities has RESP-CODES"},
		{"capability", func(c *Config) { c.ExtendedCapabilities = []Capability{"XTND"} },
			`extendedCapabilities[0]: "XTND" is not one of ["RESP-CODES"`},
		{"capability twice", func(c *Config) { c.ExtendedCapabilities = []Capability{CapabilityLang, CapabilityLang} },
			`extendedCapabilities[1]: "LANG" is taken by extendedCapabilities[0] already`},
		{"AUTH-RESP-CODE alone", func(c *Config) { c.ExtendedCapabilities = []Capability{CapabilityAuthRespCode} },
			"extendedCapabilities: AUTH-RESP-CODE needs RESP-CODES (RFC 3206 §6)"},
		{"login delay", func(c *Config) { c.Limits.LoginDelaySeconds = 86401 },
			"limits.loginDelaySeconds: 86401 is out of range 0 to 86400"},
		{"log level", func(c *Config) { c.Log.Level = "info" }, `log.level: "info" is not one of`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := parse(t, minimal)
			test.change(c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestValidateAccepts(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"the largest banner":       func(c *Config) { c.Banner = strings.Repeat("x", 506) },
		"timers of one second":     func(c *Config) { c.Timeouts = Timeouts{1, 1, 1, 1, 1} },
		"the shortest command":     func(c *Config) { c.Limits.MaxCommandOctets = 40 },
		"the longest command":      func(c *Config) { c.Limits.MaxCommandOctets = 1024 },
		"free ports":               func(c *Config) { c.Listeners[0].Address, c.Listeners[1].Address = "[::1]:0", "[::1]:0" },
		"no LMTP, no admin":        func(c *Config) { c.LMTP, c.Admin = nil, Admin{} },
		"a banner with an address": func(c *Config) { c.Banner = "ask postmaster@example.com" },
		"few recipients":           func(c *Config) { c.LMTP.MaxRecipients = 100 },
		"a separator":              func(c *Config) { c.LMTP.SubaddressSeparator = "-" },
		"LMTP TLS for everybody": func(c *Config) {
			c.LMTP.TLS = &LMTPTLS{CertFile: "c", KeyFile: "k", Mode: LMTPTLSOffered}
		},
		"all capabilities":          func(c *Config) { c.ExtendedCapabilities = Capabilities() },
		"a banner with brackets":    func(c *Config) { c.Banner = "[x] ready" },
		"a wildcard":                withServerName("*.example.com"),
		"TLS without a certificate": func(c *Config) { c.TLS.Certificates = nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := parse(t, minimal)
			change(c)
			if err := c.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func withServerName(name string) func(*Config) {
	return func(c *Config) {
		c.TLS.Certificates = []Certificate{{Name: "a", CertFile: "c", KeyFile: "k", ServerNames: []string{name}}}
	}
}

func TestValidateTellsEverythingAtOnce(t *testing.T) {
	_, err := Parse([]byte("apiVersion: x\nkind: y\n"))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"apiVersion", "kind", "listeners", "directory.path", "maildrop.path"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%q does not name %s", err, field)
		}
	}
}

func TestStatic(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"nothing", func(*Config) {}, nil},
		{"live settings", func(c *Config) {
			c.Banner, c.Revision, c.Hostname, c.Maildrop.Size, c.Log.Level = "b", "r", "h", ExactSize, LogDebug
			c.Limits.MaxConnections, c.Timeouts.WriteSeconds, c.LMTP.MaxRecipients = 7, 7, 7
			c.LMTP.SubaddressSeparator, c.LMTP.TLS, c.LMTP.IdleSeconds = "+", &LMTPTLS{}, 7
			c.LMTP.MaxConnections, c.LMTP.MaxConnectionsPerAddress = 7, 7
			c.TLS.Certificates, c.Authentication.LoginType = []Certificate{{Name: "a"}}, PlainTextLogin
		}, nil},
		{"listeners", func(c *Config) { c.Listeners[0].Address = ":111" }, []string{"listeners"}},
		{"LMTP removed", func(c *Config) { c.LMTP = nil }, []string{"lmtp.address"}},
		{"admin", func(c *Config) { c.Admin.Control = &Control{Address: ":1"} }, []string{"admin"}},
		{"paths", func(c *Config) { c.Directory.Path, c.Maildrop.Path = "d", "m" }, []string{"directory", "maildrop.path"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			changed := parse(t, minimal)
			test.change(changed)
			if diff := cmp.Diff(test.want, Static(parse(t, minimal), changed)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pop3d.yaml")
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("kind: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("bad file: %v", err)
	}
	if err := os.WriteFile(path, []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
}
