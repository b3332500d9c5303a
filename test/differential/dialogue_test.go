//go:build differential

package differential

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// patience is how long a reply may take.
const patience = 20 * time.Second

// session is a connection with a server.
type session struct {
	conn interface {
		net.Conn
		CloseWrite() error
	}
	in      *bufio.Reader
	program *exec.Cmd       // of the session alone; nil where a server serves it
	said    strings.Builder // by the program
}

// reply is one of a server. RFC 1939 §3: a status line, and, if it is a multi-line one, lines behind it.
type reply struct {
	status string // without its end
	multi  bool
	body   string // the lines with their ends, without the dots of transparency
}

func (r reply) ok() bool { return strings.HasPrefix(r.status, "+OK") }

// answer is what a server replies to one line of a script: to each of the forms in which it gets the line.
type answer []reply

// converse plays a script, each line in the forms that it has for this server, and reads the replies to the end of the
// connection. A server that has closed it early has answered fewer lines. In front of each batch that it sends it calls a
// function.
func (s *session) converse(which int, script script, commands []command, visit func(next int) error) ([]answer, error) {
	var answers []answer
	for _, batch := range batchesOf(script, commands) {
		if err := visit(len(answers)); err != nil {
			return answers, err
		}
		go s.send(formsOf(which, batch)) // together with the replies it may be more than the connection holds
		for _, c := range batch {
			answer, err := s.answer(c.forms[which], c.plain)
			if len(answer) > 0 {
				answers = append(answers, answer)
			}
			switch {
			case errors.Is(err, io.EOF):
				return answers, nil
			case err != nil:
				return answers, err
			case c.isQuit() && answer[len(answer)-1].ok():
				return answers, s.expectEnd()
			}
		}
	}
	s.send(script.rest)
	_ = s.conn.CloseWrite()
	return answers, s.expectEnd()
}

// batchesOf parts commands into those that are sent at once. QUIT begins a new batch, so that what came before has been read:
// Dovecot leaves at QUIT without the replies that the connection has had no room for yet.
func batchesOf(s script, commands []command) (batches [][]command) {
	if !s.pipelined {
		return slices.Collect(slices.Chunk(commands, 1))
	}
	for len(commands) > 0 {
		n := 1 + slices.IndexFunc(commands[1:], command.isQuit)
		if n == 0 || commands[0].isQuit() {
			n = len(commands)
		}
		batches = append(batches, commands[:n])
		commands = commands[n:]
	}
	return batches
}

func formsOf(which int, commands []command) string {
	var text strings.Builder
	for _, c := range commands {
		text.WriteString(strings.Join(c.forms[which], ""))
	}
	return text.String()
}

// send writes. An error shows when reading.
func (s *session) send(text string) { _, _ = io.WriteString(s.conn, text) }

// answer reads the replies to all forms of a command.
func (s *session) answer(forms []string, plain string) (all answer, err error) {
	for range forms {
		r, err := s.reply(plain)
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

// reply reads the reply to a command, given in its plain form: RFC 1939 has it that a client knows which reply has many lines.
func (s *session) reply(command string) (r reply, err error) {
	_ = s.conn.SetDeadline(time.Now().Add(patience))
	if r.status, err = s.line(); err != nil {
		return r, err
	}
	r.multi = r.ok() && isMulti(command)
	if !r.multi {
		return r, nil
	}
	var body strings.Builder
	for {
		line, err := s.line()
		switch {
		case err != nil:
			return r, fmt.Errorf("a multi-line reply to %q breaks off: %s", command, err.Error())
		case line == ".":
			r.body = body.String()
			return r, nil
		case strings.HasPrefix(line, ".") && !strings.HasPrefix(line, ".."):
			return r, fmt.Errorf("a line with a dot that is not doubled in a reply to %q: %q", command, line)
		}
		body.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
	}
}

// line reads a line without its end. At the end of the connection the error is io.EOF, and no other one.
func (s *session) line() (string, error) {
	line, err := s.in.ReadString('\n')
	text, ended := strings.CutSuffix(line, "\r\n")
	switch {
	case err != nil && line != "":
		return line, fmt.Errorf("a line breaks off: %q: %s", line, err.Error())
	case err != nil:
		return line, err
	case !ended:
		return line, fmt.Errorf("a line does not end in CRLF: %q", line)
	}
	return text, nil
}

// expectEnd wants the end of the connection. It is reset where commands behind QUIT were not read any more.
func (s *session) expectEnd() error {
	more, err := io.ReadAll(s.in)
	if len(more) > 0 {
		return fmt.Errorf("behind the last reply there is %q", more)
	}
	if errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}

// isMulti tells whether a positive reply to a command is a multi-line one.
func isMulti(command string) bool {
	words := wordsOf(command)
	switch keywordOf(words) {
	case "RETR", "TOP", "CAPA":
		return true
	case "LIST", "UIDL":
		return len(words) == 1
	}
	return false
}

// wordsOf parts a line at SP and HT ([MS-STANXPOP3] §2.1.1).
func wordsOf(line string) []string {
	return strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
}

func keywordOf(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return strings.ToUpper(words[0])
}

// dialogue is what was said in one session with each server.
type dialogue struct {
	script   script
	commands []command
	answers  [2][]answer
}

// String shows both side by side.
func (d *dialogue) String() string {
	var text strings.Builder
	for i, c := range d.commands {
		if visit := d.script.visit; visit != nil && visit.before == i {
			fmt.Fprintf(&text, "another session removes %d; a message arrives: %t\n", visit.removed, visit.arrives != nil)
		}
		fmt.Fprintf(&text, "%q\n", c.line)
		for which, name := range serverNames {
			fmt.Fprint(&text, d.brief(i, which, name+":"))
		}
	}
	return text.String()
}

// brief shows what a server answers to a command.
func (d *dialogue) brief(i, which int, name string) string {
	if i >= len(d.answers[which]) {
		return fmt.Sprintf("    %-8s (nothing)\n", name)
	}
	var text strings.Builder
	for j, r := range d.answers[which][i] {
		fmt.Fprintf(&text, "    %-8s %s\n", name, r.brief(d.commands[i].forms[which][j], j > 0))
	}
	return text.String()
}

// brief shows a reply in one line, and to what, if it is not the line of the script itself.
func (r reply) brief(form string, plainer bool) string {
	text := r.status
	if r.multi {
		text += fmt.Sprintf(" and %d octets: %.300q", len(r.body), r.body)
	}
	if plainer {
		text += fmt.Sprintf("   (to %q)", form)
	}
	return text
}
