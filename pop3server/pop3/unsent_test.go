package pop3

import (
	"net"
	"testing"
	"time"
)

// The kernel keeps little for a client that reads nothing.
func TestUnsentIsBounded(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if err := client.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	boundUnsent(conn)
	_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)) // it is full long before
	taken, err := conn.Write(make([]byte, 16<<20))
	if err == nil || taken > 4*maxUnsent {
		t.Errorf("%d octets were taken (%v), at most some %d are expected", taken, err, maxUnsent)
	}
}
