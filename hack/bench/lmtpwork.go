package main

import (
	"context"
	"errors"
	"io"
	"strconv"
)

// delivery hands messages in over LMTP, by connections of which each delivers to a mailbox of its own. Both servers have
// written a message to disk when they say that they have it.
func delivery(o options, connections int, target float64) workload {
	boxOf := func(i int) box {
		return box{name: "lmtp" + strconv.Itoa(connections) + "-" + strconv.Itoa(i), octets: smallOctets}
	}
	return workload{
		name:  "LMTP 2 KB, " + plural(connections, "connection"),
		boxes: several(connections, boxOf),
		measures: []measure{
			{unit: "messages/s", target: target},
			{name: ", server CPU", unit: "µs/message", less: true},
		},
		run: func(ctx context.Context, s *server, _ int) ([]float64, error) {
			senders, err := newSenders(s, several(connections, boxOf))
			if err != nil {
				return nil, err
			}
			values, err := withCPU(s, func() (float64, int, error) {
				return until(ctx, o.duration, connections, func(i int) error { return senders[i].deliver() })
			})
			for _, one := range senders {
				err = errors.Join(err, one.quit())
			}
			return values, err
		},
	}
}

// sender is an LMTP connection by which one message is sent again and again.
type sender struct {
	*client
	envelope, data string
}

func newSenders(s *server, boxes []box) (senders []*sender, err error) {
	for _, b := range boxes {
		c, err := dial(s.ports.LMTP, false, slim)
		if err != nil {
			return nil, err
		}
		one := &sender{
			client:   c,
			envelope: "MAIL FROM:<sender@example.org>\r\nRCPT TO:<" + b.address() + ">\r\nDATA\r\n",
			data:     string(message(b, 0)) + ".\r\n",
		}
		if err := one.greet(); err != nil {
			return nil, err
		}
		senders = append(senders, one)
	}
	return senders, nil
}

func (s *sender) greet() error {
	if err := s.expect("220 "); err != nil {
		return err
	}
	if err := s.send("LHLO client.example.org\r\n"); err != nil {
		return err
	}
	for {
		line, err := s.line()
		if err != nil {
			return err
		}
		if len(line) > 3 && line[3] == ' ' {
			return nil
		}
	}
}

// deliver sends the message. Commands are pipelined (RFC 2920), as MTAs do it.
func (s *sender) deliver() error {
	if err := s.send(s.envelope); err != nil {
		return err
	}
	for _, code := range []string{"250 ", "250 ", "354 "} {
		if err := s.expect(code); err != nil {
			return err
		}
	}
	if err := s.send(s.data); err != nil {
		return err
	}
	return s.expect("250 ")
}

func (s *sender) quit() error {
	defer s.close()
	if err := s.send("QUIT\r\n"); err != nil {
		return err
	}
	if err := s.expect("221"); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
