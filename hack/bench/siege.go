package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	crawlers    = 5000 // send an octet every ten seconds
	crawlPause  = 10 * time.Second
	deaf        = 500 // ask for much and read nothing
	siegeLogins = 1000
)

// siege measures how long a healthy client's short session takes beside very many that are slow, and what those cost. Each
// network of the loopback interface that they come from has no more of them than a server takes from one address.
func siege() workload {
	return workload{
		name:   fmt.Sprintf("login STAT QUIT beside %d that crawl and %d that do not read", crawlers, deaf),
		boxes:  several(smallBoxes, smallBox),
		rounds: 1,
		measures: []measure{
			{name: ", p99", unit: "ms", less: true},
			{name: ", p99 without them", unit: "ms", less: true},
			{name: ", memory of one of them", unit: "KiB", less: true},
		},
		prepare: func(ctx context.Context, s *server, _ int) error { return exercise(ctx, s, time.Second) },
		run:     besiege,
	}
}

func besiege(ctx context.Context, s *server, _ int) ([]float64, error) {
	alone, _, err := loginTimes(s)
	if err != nil {
		return nil, err
	}
	before, err := s.memory()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conns, err := besiegers(ctx, s)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	time.Sleep(settle) // until those that do not read have been sent what the kernel takes
	beside, _, err := loginTimes(s)
	if err != nil {
		return nil, err
	}
	after, err := s.memory()
	return []float64{beside, alone, (after - before) / (crawlers + deaf)}, err
}

// besiegers opens the connections. It gives those that it has opened, whatever happens.
func besiegers(ctx context.Context, s *server) (conns []net.Conn, err error) {
	for i := range crawlers + deaf {
		from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/1000))}
		conn, err := (&net.Dialer{LocalAddr: from, Timeout: patience}).DialContext(ctx, "tcp", address(s.ports.POP3))
		if err != nil {
			return conns, fmt.Errorf("connection %d: %w", i, err)
		}
		conns = append(conns, conn)
		if i >= crawlers {
			if err := beDeaf(conn, i); err != nil {
				return conns, fmt.Errorf("connection %d: %w", i, err)
			}
		}
	}
	go crawl(ctx, conns[:crawlers])
	return conns, nil
}

// beDeaf asks for some 8 MB and reads nothing of it.
func beDeaf(conn net.Conn, i int) error {
	if err := conn.(*net.TCPConn).SetReadBuffer(slim); err != nil {
		return err
	}
	c := &client{conn: conn, buffer: make([]byte, slim)}
	for _, command := range []string{"", "USER " + smallBox(i%smallBoxes).address() + "\r\n", "PASS " + password + "\r\n"} {
		if err := c.send(command); err != nil {
			return err
		}
		if err := c.expect("+OK"); err != nil {
			return err
		}
	}
	return c.send(strings.Repeat("RETR 1\r\n", 4000))
}

// crawl sends a command octet by octet on each connection.
func crawl(ctx context.Context, conns []net.Conn) {
	for _, octet := range "NOOPNOOP" {
		for _, conn := range conns {
			_, _ = conn.Write([]byte{byte(octet)}) // the server may have closed it
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(crawlPause):
		}
	}
}

// loginTimes gives the times below which 99 of 100 short sessions, and all of them, take, in ms. It takes no longer than twice
// patience: a session that is not answered within it counts with what was waited.
func loginTimes(s *server) (p99, most float64, err error) {
	var times []float64
	for end := time.Now().Add(patience); len(times) < siegeLogins && time.Now().Before(end); {
		begun := time.Now()
		err := shortSession(s, smallBox(len(times)%smallBoxes))
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, 0, err
		}
		times = append(times, milliseconds(time.Since(begun)))
	}
	slices.Sort(times)
	return times[len(times)*99/100], times[len(times)-1], nil
}
