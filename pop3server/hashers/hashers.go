// Package hashers checks passwords in processes of their own, of low priority: Pool is the server's side, Serve the other one.
//
// A check of argon2id takes a core for some 30 ms and 19 MiB. Within the server, which has a few threads and one heap, others
// would wait for the core and the heap would grow to twice what is in use. A process gives way to the server as the kernel
// schedules, gives its memory back when it ends, and is used for one check at a time. What a Pool may use is so bounded by
// how many checks its caller lets run at once. docs/design/performance.md has the figures.
package hashers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// request asks whether a password matches one of some verifiers.
type request struct {
	Verifiers []string `json:"verifiers"`
	Password  []byte   `json:"password"`
}

func requestOf(verifiers []verifier.Verifier, password []byte) request {
	r := request{Verifiers: make([]string, len(verifiers)), Password: password}
	for i, v := range verifiers {
		r.Verifiers[i] = v.String()
	}
	return r
}

// reply has the index of the verifier that matches, -1 where none does.
type reply struct {
	Matched int `json:"matched"`
}

// Serve answers requests, one after the other, until there are no more. Between them it holds hardly any memory.
func Serve(requests io.Reader, replies io.Writer) error {
	debug.SetGCPercent(20) // a request of many verifiers is not to take the memory of all of them
	in, out := json.NewDecoder(requests), json.NewEncoder(replies)
	for {
		var r request
		if err := in.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return errors.New("no request can be read") // the decoder's words may quote it
		}
		verifiers, err := r.parse()
		if err != nil {
			return err
		}
		if err := out.Encode(reply{verifier.Match(verifiers, r.Password)}); err != nil {
			return err
		}
		clear(r.Password)
		runtime.GC()
	}
}

func (r *request) parse() (verifiers []verifier.Verifier, err error) {
	verifiers = make([]verifier.Verifier, len(r.Verifiers))
	for i, text := range r.Verifiers {
		if verifiers[i], err = verifier.Parse(text); err != nil {
			return nil, fmt.Errorf("verifier %d: %w", i, err)
		}
	}
	return verifiers, nil
}
