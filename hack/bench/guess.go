package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

const (
	guessers = 200
	samples  = 60 // of memory
	sampling = 50 * time.Millisecond
	// calm is when pop3d has given back what the hashes took: its processes end after ten idle seconds.
	calm = 15 * time.Second
)

// dearBox is one of the mailboxes that are guessed at, whose verifiers cost what new ones cost.
func dearBox(i int) box {
	return box{name: "guessed" + strconv.Itoa(i), messages: 1, octets: smallOctets, dear: true}
}

// guessing measures how long a short session takes whose password the server remembers, beside others that are always
// wrong, and how much memory these take.
func guessing() workload {
	return workload{
		name:   fmt.Sprintf("login STAT QUIT beside %d wrong logins", guessers),
		boxes:  append(several(smallBoxes, smallBox), several(guessers, dearBox)...),
		rounds: 3,
		measures: []measure{
			{name: ", p99", unit: "ms", less: true},
			{name: ", p99 without them", unit: "ms", less: true},
			{name: ", slowest", unit: "ms", less: true},
			{name: ", memory before", unit: "MiB", less: true},
			{name: ", most memory", unit: "MiB", less: true},
			{name: ", memory 15 s later", unit: "MiB", less: true},
		},
		prepare: func(ctx context.Context, s *server, _ int) error { return exercise(ctx, s, time.Second) },
		run:     beGuessed,
	}
}

func beGuessed(ctx context.Context, s *server, _ int) ([]float64, error) {
	alone, _, err := loginTimes(s)
	if err != nil {
		return nil, err
	}
	before, err := s.memory()
	if err != nil {
		return nil, err
	}
	end := guess(ctx, s)
	beside, slowest, err := loginTimes(s)
	if err != nil {
		end()
		return nil, err
	}
	peak := mostMemory(s)
	end()
	time.Sleep(calm)
	after, err := s.memory()
	const mebi = 1 << 10 // KiB
	return []float64{beside, alone, slowest, before / mebi, peak / mebi, after / mebi}, err
}

// guess tries wrong passwords, each for a mailbox and from an address of its own, until the end. When it returns, all of them
// have been sent once.
func guess(ctx context.Context, s *server) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running, sending sync.WaitGroup
	for i := range guessers {
		sending.Add(1)
		sent := sync.OnceFunc(sending.Done)
		running.Go(func() {
			defer sent() // if it has been interrupted before
			for ctx.Err() == nil {
				guessOnce(ctx, s, i, sent)
			}
		})
	}
	sending.Wait()
	return func() {
		cancel()
		running.Wait()
	}
}

// guessOnce does not tell what came of it: a server that is busy may say so. It calls sent when the password is on its way.
func guessOnce(ctx context.Context, s *server, i int, sent func()) {
	defer sent() // also where the server cannot be reached
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 2, byte(1+i))}
	conn, err := (&net.Dialer{LocalAddr: from, Timeout: patience}).DialContext(ctx, "tcp", address(s.ports.POP3))
	if err != nil {
		return
	}
	c := &client{conn: conn, buffer: make([]byte, slim)}
	defer c.close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if c.expect("+OK") == nil && c.ask("USER "+dearBox(i).address()+"\r\n") == nil && c.send("PASS wrong\r\n") == nil {
		sent()
		_ = c.expect("+OK")
	}
}

// mostMemory looks how much memory a server takes, again and again for a while, and gives the most. It halts the server for
// moments, and so has a time of its own.
func mostMemory(s *server) (peak float64) {
	for range samples {
		if now, err := s.memory(); err == nil { // otherwise one of its processes has just ended
			peak = max(peak, now)
		}
		time.Sleep(sampling)
	}
	return peak
}
