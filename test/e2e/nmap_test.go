//go:build e2e

package e2e

import (
	"encoding/xml"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// scan is what nmap tells, as far as it matters here.
type scan struct {
	Ports []struct {
		Number  int `xml:"portid,attr"`
		Scripts []struct {
			ID     string `xml:"id,attr"`
			Output string `xml:"output,attr"`
		} `xml:"script"`
	} `xml:"host>ports>port"`
}

// output is what a script says of a port.
func (s *scan) output(port int, script string) string {
	for _, p := range s.Ports {
		for _, said := range p.Scripts {
			if p.Number == port && said.ID == script {
				return said.Output
			}
		}
	}
	return ""
}

// testNmap: nmap must see the capabilities that clients are told of, without TLS on one port and within it on the other.
func testNmap(t *testing.T, s *service) {
	t.Parallel()
	// Packets that nmap makes itself are not sent on to a pod; connections of the kernel (-sT) are.
	output, err := try(t, "", "nmap", "-sT", "-Pn", "-n", "-p", "110,995",
		"--script", "pop3-capabilities,ssl-enum-ciphers", "-oX", "-", s.ip)
	if err != nil {
		t.Fatal(err)
	}
	var seen scan
	if err := xml.Unmarshal([]byte(output), &seen); err != nil {
		t.Fatalf("%v:\n%s", err, output)
	}
	for port, want := range map[int][]string{
		110: asNmap(s.plainCapabilities(t)), 995: asNmap(s.dial(t, commandLimit).capabilities(t)),
	} {
		got := strings.Fields(seen.output(port, "pop3-capabilities"))
		slices.Sort(got)
		if !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("port %d: nmap sees the capabilities %q, CAPA tells of %q", port, got, want)
		}
		if said := seen.output(port, "ssl-enum-ciphers"); !strings.Contains(said, "least strength: A") {
			t.Errorf("port %d: nmap says of the ciphers:\n%s", port, said)
		}
	}
}

// plainCapabilities are those before TLS.
func (s *service) plainCapabilities(t *testing.T) []string {
	t.Helper()
	conn, err := textproto.Dial("tcp", s.address(110))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := &session{Conn: conn}
	if _, err := p.reply(); err != nil {
		t.Fatal(err)
	}
	return p.capabilities(t)
}

// asNmap sorts what CAPA tells and writes it as nmap does.
func asNmap(lines []string) []string {
	for i, line := range lines {
		if name, arguments, found := strings.Cut(line, " "); found {
			lines[i] = name + "(" + arguments + ")"
		}
	}
	slices.Sort(lines)
	return lines
}
