package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/pop3server/config"
)

// Folders and files in the server's container.
const (
	configFolder    = "/etc/pop3d/config"
	directoryFolder = "/etc/pop3d/directory"
	tlsFolder       = "/etc/pop3d/tls"
	controlFolder   = "/etc/pop3d/control"
	volumeFolder    = "/var/lib/pop3d"
	maildropFolder  = volumeFolder + "/maildrops"

	configFile = "config.yaml"
)

// Config is the servers' configuration, as text and as what it says.
type Config struct {
	Text     string
	Revision string
	// static is a hash of the settings that a server takes over at its start only.
	static string
}

// NewConfig gives the configuration that a PopService asks for, or says what in it no server would take.
func NewConfig(in Input) (Config, error) {
	c := in.config()
	text, err := config.Encode(&c)
	if err != nil {
		return Config{}, fmt.Errorf("encode configuration: %w", err)
	}
	c.Revision = hash(text)
	if text, err = config.Encode(&c); err != nil {
		return Config{}, fmt.Errorf("encode configuration: %w", err)
	}
	if _, err := config.Parse(text); err != nil {
		return Config{}, fmt.Errorf("the spec makes no valid configuration: %w", err)
	}
	static, err := json.Marshal([]any{c.Listeners, c.LMTP.Address, c.Admin, c.Directory, c.Maildrop.Path,
		c.Maildrop.Shared})
	return Config{Text: string(text), Revision: c.Revision, static: hash(static)}, err
}

// hash gives 16 hexadecimal digits.
func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func (in Input) config() config.Config {
	spec := &in.Service.Spec
	return config.Config{
		APIVersion:     config.APIVersion,
		Kind:           config.Kind,
		Hostname:       in.name() + "." + in.namespace() + ".svc",
		Listeners:      in.listeners(),
		LMTP:           in.lmtp(),
		Admin:          in.admin(),
		Directory:      config.Directory{Path: directoryFolder},
		Maildrop:       in.maildrop(),
		TLS:            tlsConfig(spec.TLS),
		Authentication: authentication(spec.Authentication),
		Timeouts:       timeouts(spec.Timeouts),
		Limits:         limits(spec.Limits),
		SortOrder:      config.SortOrder(spec.SortOrder),
		Banner:         spec.Banner,
		Log:            config.Log{Protocol: spec.ProtocolLog.Enabled},

		ExtendedCapabilities: capabilities(spec.ExtendedCapabilities),
	}
}

func capabilities(spec []v1alpha1.Capability) (names []config.Capability) {
	for _, name := range spec {
		names = append(names, config.Capability(name))
	}
	return names
}

func (in Input) maildrop() config.Maildrop {
	spec := &in.Service.Spec
	return config.Maildrop{
		Path:   maildropFolder,
		Size:   config.SizeMode(spec.MessageSize),
		Shared: in.isShared(),
		Retention: config.Retention{
			UnreadMaxAgeSeconds:         spec.Retention.UnreadMaxAge.Seconds(),
			ReadMaxAgeSeconds:           spec.Retention.ReadMaxAge.Seconds(),
			DeletedItemRetentionSeconds: spec.Retention.DeletedItemRetention.Seconds(),
		},
		QuotaWarning: config.QuotaWarning(spec.QuotaWarning),
	}
}

func (in Input) address(name string) string { return fmt.Sprintf(":%d", in.containerPort(name)) }

func (in Input) listeners() []config.Listener {
	var listeners []config.Listener
	for _, l := range in.Service.Spec.Listeners {
		listener := config.Listener{Name: l.Name, Address: in.address(l.Name), Security: config.Security(l.Security)}
		if l.ProxyProtocol != nil {
			listener.ProxyProtocol = &config.ProxyProtocol{TrustedNetworks: l.ProxyProtocol.TrustedNetworks}
		}
		listeners = append(listeners, listener)
	}
	return listeners
}

func (in Input) lmtp() *config.LMTP {
	delivery := in.Service.Spec.Delivery
	return &config.LMTP{
		Address:          in.address(portLMTP),
		MaxMessageOctets: delivery.MaxMessageSize.Value(),
		OverQuotaReply:   config.OverQuotaReply(delivery.OverQuotaReply),

		MaxRecipients:            int(delivery.LMTP.MaxRecipients),
		MaxConnections:           int(delivery.LMTP.MaxConnections),
		MaxConnectionsPerAddress: int(delivery.LMTP.MaxConnectionsPerAddress),
		SubaddressSeparator:      delivery.LMTP.SubaddressSeparator,
		TLS:                      lmtpTLS(delivery.LMTP.TLS),
	}
}

func lmtpTLS(spec *v1alpha1.LMTPTLS) *config.LMTPTLS {
	if spec == nil {
		return nil
	}
	tls := &config.LMTPTLS{
		CertFile: path.Join(tlsFolder, LMTPCertificateKey),
		KeyFile:  path.Join(tlsFolder, LMTPPrivateKey),
		Mode:     config.LMTPTLSMode(spec.Mode),
	}
	if spec.ClientCASecretRef != nil {
		tls.ClientCAFile = path.Join(tlsFolder, LMTPClientCAKey)
	}
	return tls
}

func (in Input) admin() config.Admin {
	return config.Admin{
		Address: in.address(portAdmin),
		Control: &config.Control{
			Address:      in.address(portControl),
			CertFile:     path.Join(controlFolder, "tls.crt"),
			KeyFile:      path.Join(controlFolder, "tls.key"),
			ClientCAFile: path.Join(controlFolder, "ca.crt"),
		},
	}
}

func tlsConfig(spec *v1alpha1.TLS) config.TLS {
	if spec == nil {
		return config.TLS{}
	}
	served := config.TLS{MinVersion: config.TLSVersion(spec.MinVersion)}
	for _, c := range spec.Certificates {
		served.Certificates = append(served.Certificates, config.Certificate{
			Name:        c.Name,
			CertFile:    path.Join(tlsFolder, CertificateKey(c.Name)),
			KeyFile:     path.Join(tlsFolder, PrivateKey(c.Name)),
			ServerNames: c.ServerNames,
		})
	}
	return served
}

func timeouts(spec v1alpha1.Timeouts) config.Timeouts {
	return config.Timeouts{
		PreAuthenticatedSeconds: int(spec.PreAuthenticatedSeconds),
		AuthenticatedSeconds:    int(spec.AuthenticatedSeconds),
		TLSHandshakeSeconds:     int(spec.TLSHandshakeSeconds),
		WriteSeconds:            int(spec.WriteSeconds),
		DrainSeconds:            int(spec.DrainSeconds),
	}
}

func limits(spec v1alpha1.Limits) config.Limits {
	return config.Limits{
		MaxCommandOctets:         int(spec.MaxCommandOctets),
		MaxConnections:           int(spec.MaxConnections),
		MaxConnectionsPerAddress: int(spec.MaxConnectionsPerAddress),
		MaxConnectionsPerMailbox: int(spec.MaxConnectionsPerMailbox),
		MaxFailedLogins:          int(spec.MaxFailedLogins),
		MaxBadCommands:           int(spec.MaxBadCommands),
		LoginDelaySeconds:        int(spec.LoginDelaySeconds),

		MaxFailedLoginsPerAddress: int(spec.MaxFailedLoginsPerAddress),
		MaxFailedLoginsPerMailbox: int(spec.MaxFailedLoginsPerMailbox),
		LockoutSeconds:            int(spec.LockoutSeconds),
	}
}

// ConfigMap holds the configuration file. It stands alone in its volume, so that the servers see a change.
func ConfigMap(in Input, c Config) *corev1ac.ConfigMapApplyConfiguration {
	return corev1ac.ConfigMap(names.ConfigMap(in.name()), in.namespace()).
		WithLabels(in.labels()).
		WithOwnerReferences(in.owner()).
		WithData(map[string]string{configFile: c.Text})
}
