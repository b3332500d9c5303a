package maildrop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// operation is what a client has asked of a server: to deliver or remove a message, or to list them all. Messages are known by
// their sizes, which all differ.
type operation struct{ what, size string }

// maildropModel is a maildrop as those who use it may think of it: a list, and each operation happens at one moment. A state is
// the sizes in the order of the unique-ids.
var maildropModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		list, op := state.(string), input.(operation)
		switch op.what {
		case "deliver":
			return true, strings.TrimSpace(list + " " + op.size)
		case "remove":
			left := slices.DeleteFunc(strings.Fields(list), func(size string) bool { return size == op.size })
			return true, strings.Join(left, " ")
		default:
			return sizesOf(output.(string)) == list, list
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprint(input, " ", output) },
}

// remote is a server that does what it is told, many things at a time.
type remote struct {
	in      io.Writer
	mu      sync.Mutex
	count   int
	waiting map[string]chan string
}

func startRemote(t *testing.T, root string) *remote {
	t.Helper()
	child := startServer(root, "commands", "", "", 0)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	r := &remote{in: in, waiting: map[string]chan string{}}
	var group sync.WaitGroup
	group.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			number, answer, _ := strings.Cut(lines.Text(), " ")
			r.mu.Lock()
			r.waiting[number] <- answer
			r.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = in.Close()
		group.Wait()
		_ = child.Wait()
	})
	return r
}

// ask gives what the server answers.
func (r *remote) ask(command string) (string, error) {
	answer := make(chan string, 1)
	r.mu.Lock()
	r.count++
	number := fmt.Sprint(r.count)
	r.waiting[number] = answer
	_, err := fmt.Fprintln(r.in, number, command)
	r.mu.Unlock()
	if err != nil {
		return "", err
	}
	result := <-answer
	if out, ok := strings.CutPrefix(result, "ok"); ok {
		return strings.TrimSpace(out), nil
	}
	return "", fmt.Errorf("%s: %s", command, result)
}

// recorder records what several clients do, and when.
type recorder struct {
	t     *testing.T
	start time.Time
	mu    sync.Mutex
	all   []porcupine.Operation
}

func (r *recorder) do(client int, on *remote, op operation) string {
	call := time.Since(r.start).Nanoseconds()
	out, err := on.ask(op.what + " " + op.size)
	returned := time.Since(r.start).Nanoseconds()
	if err != nil {
		r.t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, porcupine.Operation{ClientId: client, Input: op, Call: call, Output: out, Return: returned})
	return out
}

// run delivers messages and removes them, or those of others.
func (r *recorder) run(client int, on *remote) {
	random := rand.New(rand.NewPCG(uint64(client), 3))
	for round := range 25 {
		r.do(client, on, operation{"deliver", fmt.Sprint(1000*(client+1) + round)})
		list := strings.Fields(sizesOf(r.do(client, on, operation{what: "list"})))
		if round%10 == 5 {
			if _, err := on.ask("compact"); err != nil {
				r.t.Error(err)
			}
		}
		if len(list) > 0 {
			r.do(client, on, operation{"remove", list[random.IntN(len(list))]})
		}
	}
}

// Clients of two servers see one maildrop: there is an order of all that they did that explains what each of them saw, in which
// nothing comes before what had ended when it began.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	servers := []*remote{startRemote(t, root), startRemote(t, root)}
	r := &recorder{t: t, start: time.Now()}
	r.do(0, servers[0], operation{"deliver", "999"}) // the maildrop exists
	var group sync.WaitGroup
	for client := range 4 {
		group.Go(func() { r.run(client, servers[client%2]) })
	}
	group.Wait()
	if result := porcupine.CheckOperationsTimeout(maildropModel, r.all, time.Minute); result != porcupine.Ok {
		t.Errorf("%d operations: %s", len(r.all), result)
	}
	checkUIDs(t, r.all)
}

// checkUIDs checks that all have seen the same unique-ids, which rise.
func checkUIDs(t *testing.T, all []porcupine.Operation) {
	t.Helper()
	sizes := map[string]string{}
	for _, op := range all {
		last := 0
		for row := range strings.FieldsSeq(op.Output.(string)) {
			uid, size, _ := strings.Cut(row, "/")
			if other, ok := sizes[uid]; ok && other != size {
				t.Errorf("unique-id %s is that of messages of %s and of %s octets", uid, other, size)
			}
			sizes[uid] = size
			if n, err := strconv.Atoi(uid); err != nil || n <= last {
				t.Errorf("unique-ids %s", op.Output)
			} else {
				last = n
			}
		}
	}
}

// sizesOf gives the sizes of a list.
func sizesOf(list string) string {
	rows := strings.Fields(list)
	for i, row := range rows {
		_, rows[i], _ = strings.Cut(row, "/")
	}
	return strings.Join(rows, " ")
}

// obeyCommands is the server's side: it reads lines of a number, an operation and a size, and does many at a time.
func obeyCommands(s *JournalStore, _ string) error {
	answers := make(chan string)
	go func() {
		for answer := range answers {
			fmt.Println(answer)
		}
	}()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := append(strings.Fields(lines.Text()), "")
		go func() {
			out, err := obey(s, words[1], words[2])
			if err != nil {
				out = "error " + err.Error()
			} else {
				out = "ok " + out
			}
			answers <- words[0] + " " + out
		}()
	}
	return errors.New("no more commands")
}

// obey does an operation and gives what came of it.
func obey(s *JournalStore, what, size string) (string, error) {
	switch what {
	case "deliver":
		octets, err := strconv.Atoi(size)
		if err != nil {
			return "", err
		}
		text := "A: b\r\n\r\n" + strings.Repeat("x", octets-10) + "\r\n"
		results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: alice}}, strings.NewReader(text))
		return "", errors.Join(append(results, err)...)
	case "compact":
		return "", s.Compact(context.Background(), alice.ID)
	}
	session, err := s.Open(context.Background(), alice)
	if err != nil {
		return "", err
	}
	var rows []string
	for _, m := range session.Messages() {
		rows = append(rows, fmt.Sprintf("%s/%d", m.UID(), m.Octets))
		if what == "remove" && fmt.Sprint(m.Octets) == size {
			err = session.Delete(context.Background(), []Message{m})
		}
	}
	return strings.Join(rows, " "), errors.Join(err, session.Close())
}
