package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// listing is a session that fetches the lists of a mailbox with many messages: warm, or, cold, the first one for this mailbox
// since the server was started.
func listing(messages int, cold bool, target float64) workload {
	b := listBox(messages)
	w := workload{
		name:     "login STAT UIDL LIST QUIT, " + thousands(messages) + ", warm",
		boxes:    []box{b, smallBox(0)},
		measures: []measure{{unit: "ms", less: true, target: target}},
	}
	times := max(1, 50_000/messages)
	w.prepare = func(_ context.Context, s *server, _ int) error { return fetchLists(s, b) }
	if cold {
		w.name = "login STAT UIDL LIST QUIT, " + thousands(messages) + ", cold"
		times = 1
		w.prepare = func(ctx context.Context, s *server, _ int) error { return cool(ctx, s, b) }
	}
	w.run = func(_ context.Context, s *server, _ int) ([]float64, error) {
		begun := time.Now()
		for range times {
			if err := fetchLists(s, b); err != nil {
				return nil, err
			}
		}
		return []float64{milliseconds(time.Since(begun)) / float64(times)}, nil
	}
	return w
}

// cool starts a server anew that has built its index of a mailbox, and sees to it that all its processes are there.
func cool(ctx context.Context, s *server, b box) error {
	if err := fetchLists(s, b); err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	return fetchLists(s, smallBox(0))
}

func fetchLists(s *server, b box) error {
	c, err := login(s, b, false, roomy)
	if err != nil {
		return err
	}
	if err := c.ask("STAT\r\n"); err != nil {
		return err
	}
	for _, command := range []string{"UIDL\r\n", "LIST\r\n"} {
		count, err := c.list(command)
		if err == nil && count != b.messages {
			err = fmt.Errorf("%d lines", count)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", command, err)
		}
	}
	return c.quit()
}

// sessions are short sessions by clients of which each has a mailbox of its own.
func sessions(o options, clients int) workload {
	return workload{
		name:  "login STAT QUIT, " + plural(clients, "client"),
		boxes: several(clients, smallBox),
		measures: []measure{
			{unit: "sessions/s", target: 3},
			{name: ", server CPU", unit: "µs/session", less: true, target: 3},
		},
		prepare: func(_ context.Context, s *server, _ int) error { return eachOnce(s, clients, smallBox) },
		run: func(ctx context.Context, s *server, _ int) ([]float64, error) {
			return withCPU(s, func() (float64, int, error) {
				return until(ctx, o.duration, clients, func(i int) error { return shortSession(s, smallBox(i)) })
			})
		},
	}
}

// eachOnce logs into each mailbox, so that what can be remembered of its credential is.
func eachOnce(s *server, n int, make func(int) box) error {
	for _, b := range several(n, make) {
		if err := shortSession(s, b); err != nil {
			return err
		}
	}
	return nil
}

func shortSession(s *server, b box) error {
	c, err := login(s, b, false, slim)
	if err != nil {
		return err
	}
	if err := c.ask("STAT\r\n"); err != nil {
		return err
	}
	return c.quit()
}

// hashing are short sessions where a password has the cost that new ones have. There is no target for it: it tells what it
// is worth to remember passwords that were right.
func hashing(o options) workload {
	b := box{name: "dear", messages: 10, octets: smallOctets, dear: true}
	return workload{
		name:     "login STAT QUIT, 1 client, argon2id of 19 MiB",
		boxes:    []box{b},
		rounds:   3,
		measures: []measure{{unit: "sessions/s"}},
		prepare:  func(_ context.Context, s *server, _ int) error { return shortSession(s, b) },
		run: func(ctx context.Context, s *server, _ int) ([]float64, error) {
			rate, _, err := until(ctx, o.duration, 1, func(int) error { return shortSession(s, b) })
			return []float64{rate}, err
		},
	}
}

// retrieveSmall fetches a whole mailbox of small messages. All RETR commands are sent at once.
func retrieveSmall(messages int, secure bool) workload {
	b := listBox(messages)
	return workload{
		name:  secured("RETR 2 KB pipelined", secure),
		boxes: []box{b},
		measures: []measure{
			{unit: "messages/s", target: 5},
			{name: ", server CPU", unit: "µs/message", less: true},
		},
		prepare: func(_ context.Context, s *server, _ int) error { return fetchLists(s, b) },
		run: func(_ context.Context, s *server, _ int) ([]float64, error) {
			const times = 3
			return withCPU(s, func() (float64, int, error) {
				octets, taken, err := fetchAll(s, b, secure, times)
				if least := int64(times * messages * smallOctets * 7 / 8); err == nil && octets < least {
					err = fmt.Errorf("%d octets came, at least %d should have", octets, least)
				}
				return float64(times*messages) / taken.Seconds(), times * messages, err
			})
		},
	}
}

// retrieveLarge fetches large messages.
func retrieveLarge(secure bool) workload {
	b := box{name: "large", messages: 8, octets: largeOctets}
	return workload{
		name:  secured("RETR 10 MiB", secure),
		boxes: []box{b},
		measures: []measure{
			{unit: "MB/s", target: 2},
			{name: ", server CPU", unit: "µs/MB", less: true},
		},
		prepare: func(_ context.Context, s *server, _ int) error {
			_, _, err := fetchAll(s, b, secure, 1)
			return err
		},
		run: func(_ context.Context, s *server, _ int) ([]float64, error) {
			return withCPU(s, func() (float64, int, error) {
				octets, taken, err := fetchAll(s, b, secure, 4)
				if least := int64(4*b.messages*b.octets) * 7 / 8; err == nil && octets < least {
					err = fmt.Errorf("%d octets came, at least %d should have", octets, least)
				}
				return float64(octets) / 1e6 / taken.Seconds(), int(octets / 1e6), err
			})
		},
	}
}

// fetchAll fetches all messages, a few times, each time in a session of its own, of which the transfer counts.
func fetchAll(s *server, b box, secure bool, times int) (octets int64, taken time.Duration, err error) {
	for range times {
		c, err := login(s, b, secure, roomy)
		if err != nil {
			return octets, taken, err
		}
		begun := time.Now()
		sent := c.pipeline("RETR", b.messages)
		n, err := c.transfers(b.messages)
		taken += time.Since(begun)
		octets += n
		if err := errors.Join(err, <-sent); err != nil {
			c.close()
			return octets, taken, err
		}
		if err := c.quit(); err != nil {
			return octets, taken, err
		}
	}
	return octets, taken, nil
}

// removal marks all messages of a mailbox as deleted; how long QUIT takes then is what counts. Each round has its mailbox.
func removal(messages, rounds int) workload {
	const most = 3
	boxOf := func(round int) box {
		return box{name: fmt.Sprintf("removal%d", round), messages: messages, octets: smallOctets}
	}
	return workload{
		name:     "QUIT after " + thousands(messages) + " DELE",
		boxes:    several(min(rounds, most), boxOf),
		rounds:   most,
		measures: []measure{{unit: "ms", less: true, target: 200}},
		prepare:  func(_ context.Context, s *server, round int) error { return fetchLists(s, boxOf(round)) },
		run: func(_ context.Context, s *server, round int) ([]float64, error) {
			taken, err := removeAll(s, boxOf(round))
			return []float64{milliseconds(taken)}, err
		},
	}
}

func removeAll(s *server, b box) (time.Duration, error) {
	c, err := login(s, b, false, roomy)
	if err != nil {
		return 0, err
	}
	sent := c.pipeline("DELE", b.messages)
	if err := errors.Join(c.replies(b.messages), <-sent); err != nil {
		c.close()
		return 0, err
	}
	begun := time.Now()
	err = c.quit()
	taken := time.Since(begun)
	if err != nil {
		return 0, err
	}
	b.messages = 0
	return taken, fetchLists(s, b)
}

// idling measures memory while many sessions are logged in and do nothing.
func idling(o options, secure bool, limit float64) workload {
	return workload{
		name:   secured(fmt.Sprintf("%d idle sessions", o.sessions), secure),
		boxes:  several(smallBoxes, smallBox),
		rounds: 3,
		measures: []measure{
			{name: ", memory", unit: "KiB/session", less: true, target: 30, limit: limit},
			{name: ", memory of one more", unit: "KiB/session", less: true},
		},
		prepare: func(ctx context.Context, s *server, _ int) error { return exercise(ctx, s, o.duration) },
		run:     func(_ context.Context, s *server, _ int) ([]float64, error) { return idleMemory(s, secure, o.sessions) },
	}
}

// exercise makes of a server that was just started one that has been at work for a while.
func exercise(ctx context.Context, s *server, duration time.Duration) error {
	if err := s.restart(ctx); err != nil {
		return err
	}
	if err := eachOnce(s, smallBoxes, smallBox); err != nil {
		return err
	}
	_, _, err := until(ctx, duration, 16, func(i int) error { return shortSession(s, smallBox(i)) })
	return err
}

// idleMemory opens a fifth of the sessions, and then the others, so that what one session takes more can be told from what the
// server takes by itself.
func idleMemory(s *server, secure bool, n int) ([]float64, error) {
	var open []*client
	defer func() {
		for _, c := range open {
			c.close()
		}
	}()
	var used []float64
	counts := []int{(n + 4) / 5, n}
	for _, count := range counts {
		for len(open) < count {
			c, err := login(s, smallBox(len(open)%smallBoxes), secure, slim)
			if err != nil {
				return nil, err
			}
			open = append(open, c)
			if err := c.ask("STAT\r\n"); err != nil {
				return nil, err
			}
		}
		time.Sleep(settle) // sessions are measured that have been idle for so long
		kib, err := s.memory()
		if err != nil {
			return nil, err
		}
		used = append(used, kib)
	}
	return []float64{used[1] / float64(n), (used[1] - used[0]) / float64(n-counts[0])}, nil
}

// settle is how long a server is left alone before its memory is measured.
const settle = 3 * time.Second
