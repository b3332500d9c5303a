// Package sasl is what every SASL mechanism of the server has in common (RFC 4422). Each mechanism is a package of its own
// below this one; a protocol such as POP3 frames what they exchange and knows nothing more of them.
package sasl

import "errors"

// ErrMalformed says that a client's message is not one of the mechanism's. To the client it is a failure like any other.
var ErrMalformed = errors.New("malformed message of the SASL mechanism")

// ErrFailed says that a client has not proven who it claims to be. To the client it is a failure like any other.
var ErrFailed = errors.New("authentication failed")

// Mechanism is the server's side of one authentication exchange. It is used once, by one goroutine.
type Mechanism interface {
	// Next takes the client's message and gives the server's answer to it, both raw, without base64.
	//
	// The first response is the initial response. It is nil where the client sent none; where the client sent one
	// of no octets, which the protocols write as "=", it is empty and not nil (RFC 4422 §5). Later responses are never nil.
	//
	// With done the exchange has succeeded and there is no challenge. With an error it has failed. Otherwise the challenge,
	// which may be empty, goes to the client, whose response is the next one. The mechanism retains no response: the
	// caller overwrites it after the call, for it may hold a password.
	Next(response []byte) (challenge []byte, done bool, err error)
}

// Refuser is a Mechanism that tells the client of a failure with a challenge, and fails after the response to it.
type Refuser interface {
	Mechanism
	// Refused gives the failure that the last challenge tells of, nil if it tells of none. The exchange has failed even where
	// the client does not respond.
	Refused() error
}
