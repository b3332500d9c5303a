package pop3

import (
	"net"

	"golang.org/x/sys/unix"
)

// maxUnsent is how much the kernel takes on a connection beyond what the client has room for.
const maxUnsent = 256 << 10

// boundUnsent bounds what the kernel keeps for a client that asks for much and reads nothing. Otherwise that is some 4 MB, and
// a few hundred of such clients have all that the kernel gives to TCP: others lose packets then. How fast mail is sent does
// not depend on it, for what is on its way does not count. Where the option cannot be set, mail is served all the same.
func boundUnsent(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { // a connection does not inherit it from its listener
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
		})
	}
}
