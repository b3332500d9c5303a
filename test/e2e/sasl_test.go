//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-ntlmssp"
	"github.com/xdg-go/scram"
)

// logonFailure is what every failed login is told, whatever has failed.
const logonFailure = "-ERR Logon failure: unknown user name or bad password."

// saslClient gives a client's message for each of the server's; the first one is empty.
type saslClient func(challenge []byte) ([]byte, error)

// authenticate holds an exchange, and gives the last line.
func (p *session) authenticate(mechanism string, client saslClient) (string, error) {
	if err := p.PrintfLine("AUTH %s", mechanism); err != nil {
		return "", err
	}
	for {
		line, err := p.ReadLine()
		text, isChallenge := strings.CutPrefix(line, "+ ")
		if err != nil || !isChallenge {
			return line, err
		}
		challenge, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return "", fmt.Errorf("challenge %q: %w", text, err)
		}
		response, err := client(challenge)
		if err != nil {
			return "", err
		}
		if err := p.PrintfLine("%s", base64.StdEncoding.EncodeToString(response)); err != nil {
			return "", err
		}
	}
}

// tryMechanism logs in at an address of the service's, and out again.
func (s *service) tryMechanism(address, mechanism string, client func(*session) saslClient) error {
	p, err := s.connectTo(address, time.Minute)
	if err != nil {
		return err
	}
	defer p.Close()
	line, err := p.authenticate(mechanism, client(p))
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "+OK") {
		return errors.New(line)
	}
	_, err = p.ask("QUIT")
	return err
}

// once sends one message, and another one to whatever is answered, which is the reason of a failure.
func once(first, after string) saslClient {
	return func(challenge []byte) ([]byte, error) {
		if len(challenge) == 0 {
			return []byte(first), nil
		}
		return []byte(after), nil
	}
}

// always is a client that needs to know nothing of its connection.
func always(client func() saslClient) func(*session) saslClient {
	return func(*session) saslClient { return client() }
}

func plainClient(authzid, name, password string) func(*session) saslClient {
	return always(func() saslClient { return once(authzid+"\x00"+name+"\x00"+password, "") })
}

func bearerClient(authzid, token string) func(*session) saslClient {
	if authzid != "" {
		authzid = "a=" + authzid
	}
	return always(func() saslClient {
		return once("n,"+authzid+",\x01host=pop.example.com\x01port=995\x01auth=Bearer "+token+"\x01\x01", "\x01")
	})
}

func xoauth2Client(user, token string) func(*session) saslClient {
	return always(func() saslClient { return once("user="+user+"\x01auth=Bearer "+token+"\x01\x01", "") })
}

// externalClient shows nothing: the certificate is of the connection.
func externalClient(authzid string) saslClient { return once(authzid, "") }

// ntlmClient is Azure's, which knows no channel binding.
func ntlmClient(domain, name, password string) func(*session) saslClient {
	return always(func() saslClient {
		return func(challenge []byte) ([]byte, error) {
			if len(challenge) == 0 {
				return ntlmssp.NewNegotiateMessage(domain, "")
			}
			return ntlmssp.NewAuthenticateMessage(challenge, name, password,
				&ntlmssp.AuthenticateMessageOptions{WorkstationName: "PC"})
		}
	})
}

// scramClient is xdg-go's. It checks the server's proof too.
func scramClient(authzid, name, password string) func(*session) saslClient {
	return always(func() saslClient {
		return scramSteps(authzid, name, password, (*scram.Client).NewConversation)
	})
}

// scramPlusClient ties the exchange to the certificate that its connection was served.
func scramPlusClient(authzid, name, password string) func(*session) saslClient {
	return func(p *session) saslClient {
		hash := sha256.Sum256(p.tls.PeerCertificates[0].Raw)
		return scramSteps(authzid, name, password, func(c *scram.Client) *scram.ClientConversation {
			return c.NewConversationWithChannelBinding(scram.ChannelBinding{
				Type: scram.ChannelBindingTLSServerEndpoint, Data: hash[:],
			})
		})
	}
}

func scramSteps(authzid, name, password string, begin func(*scram.Client) *scram.ClientConversation) saslClient {
	client, err := scram.SHA256.NewClient(name, password, authzid)
	if err != nil {
		return func([]byte) ([]byte, error) { return nil, err }
	}
	conversation := begin(client)
	return func(challenge []byte) ([]byte, error) {
		if conversation.Valid() { // RFC 5034 §4: what the server sends with its success is answered by nothing
			return nil, nil
		}
		text, err := conversation.Step(string(challenge))
		return []byte(text), err
	}
}

// mustSay fails unless an attempt was answered as it should be: not at all is a login that has succeeded.
func mustSay(t *testing.T, what string, err error, want string) {
	t.Helper()
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != want {
		t.Errorf("%s: the server said %q, want %q", what, said, want)
	}
}
