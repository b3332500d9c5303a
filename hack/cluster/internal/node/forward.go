//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"github.com/popservice/popservice/hack/cluster/internal/process"
)

const (
	// forwarder names the process that lets programs outside the namespace reach the API server, and the hidden command
	// that runs it.
	forwarder = "forwarder"
	// preferredPort keeps the kubeconfig the same from start to start where it is free.
	preferredPort = 16443
)

// listen opens the port on the host's loopback that leads to the API server.
func listen() (*net.TCPListener, int, error) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: preferredPort})
	if err != nil {
		l, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	}
	if err != nil {
		return nil, 0, fmt.Errorf("opening a port on the loopback interface: %w", err)
	}
	return l, l.Addr().(*net.TCPAddr).Port, nil
}

// startForwarder starts this program again inside the namespace, with the socket that was opened outside: a socket
// stays in the namespace it was made in, so the process needs no other way between the two.
func (n *Node) startForwarder(l *net.TCPListener, port int) (process.Started, error) {
	socket, err := l.File()
	if err != nil {
		return process.Started{}, fmt.Errorf("handing over the port: %w", err)
	}
	defer socket.Close()
	// A copy, because `go run` deletes the program when the command ends.
	program := n.path("bin", forwarder)
	if err := copyProgram(program); err != nil {
		return process.Started{}, err
	}
	return process.Start(process.Spec{
		Path: program, Args: []string{forwarder, net.JoinHostPort("127.0.0.1", strconv.Itoa(port))},
		Env: n.environment(), Log: n.log(forwarder), Namespace: n.namespace, Files: []*os.File{socket},
	})
}

func copyProgram(to string) error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("reading this program: %w", err)
	}
	defer from.Close()
	file, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return fmt.Errorf("copying this program: %w", err)
	}
	_, err = io.Copy(file, from)
	return errors.Join(err, file.Close())
}

// Forward accepts connections on descriptor 3 and joins each with one to an address, until the context ends.
func Forward(ctx context.Context, address string) error {
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return fmt.Errorf("taking over the port (only `up` runs this command): %w", err)
	}
	context.AfterFunc(ctx, func() { l.Close() })
	for ctx.Err() == nil {
		conn, err := l.Accept()
		switch {
		case err == nil:
			go join(conn.(*net.TCPConn), address)
		case ctx.Err() == nil:
			return fmt.Errorf("accepting a connection: %w", err)
		}
	}
	return nil
}

// join copies both ways until both sides have said all: a half-closed connection goes on.
func join(outside *net.TCPConn, address string) {
	defer outside.Close()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	inside := conn.(*net.TCPConn)
	defer inside.Close()
	var both sync.WaitGroup
	both.Go(func() { pump(inside, outside) })
	both.Go(func() { pump(outside, inside) })
	both.Wait()
}

func pump(to, from *net.TCPConn) {
	_, _ = io.Copy(to, from) // either side may go away at any time
	_ = to.CloseWrite()
	_ = from.CloseRead()
}
