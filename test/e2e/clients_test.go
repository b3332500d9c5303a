//go:build e2e

package e2e

import "testing"

// TestClients delivers and fetches with the programs that users have. All share one PopService, each has its mailboxes.
func TestClients(t *testing.T) {
	t.Parallel()
	s := newService(t, "clients")
	for name, test := range map[string]func(*testing.T, *service){
		"LMTP":                 testLMTP,
		"quota":                testQuota,
		"curl":                 testCurl,
		"poplib":               testPoplib,
		"mpop":                 testMpop,
		"delete":               testDelete,
		"certificate verified": testCertificateIsVerified,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}
