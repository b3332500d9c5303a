package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// results are what the program prints.
type results struct {
	Begun    time.Time `json:"begun"`
	Seconds  float64   `json:"seconds"`
	Servers  []string  `json:"servers"`
	CPUs     int       `json:"cpus"`
	Load     [2]string `json:"loadAverage"` // at the begin and at the end, over one minute
	Messages int       `json:"messages"`
	Rows     []*row    `json:"rows"`
}

func newResults(h *house) *results {
	r := &results{Begun: time.Now(), CPUs: runtime.NumCPU(), Messages: h.options.messages}
	for _, s := range h.servers {
		r.Servers = append(r.Servers, s.name+" "+s.version)
	}
	r.Load[0] = load()
	return r
}

func (r *results) finish() {
	r.Seconds = math.Round(time.Since(r.Begun).Seconds())
	r.Load[1] = load()
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// row is one figure of both servers.
type row struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Less says that less is better.
	Less    bool `json:"less,omitempty"`
	Pop3d   side `json:"pop3d"`
	Dovecot side `json:"dovecot"`
	// Ratio is how many times better pop3d is.
	Ratio float64 `json:"ratio"`
	// Target is what Ratio is to be at least, and Limit what pop3d's figure is not to exceed; 0 is none.
	Target float64 `json:"target,omitempty"`
	Limit  float64 `json:"limit,omitempty"`
	Met    bool    `json:"met"`
	sides  [2]*side
}

// side is what one server has reached.
type side struct {
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Values []float64 `json:"values"`
	// ClientCores is how many cores were busy with the client, on the average.
	ClientCores float64 `json:"clientCores"`
	cores       float64
}

func (s *side) add(value, cores float64) {
	s.Values = append(s.Values, value)
	s.cores += cores
}

func (s *side) conclude() {
	sorted := slices.Sorted(slices.Values(s.Values))
	middle := len(sorted) / 2
	s.Min, s.Max, s.Median = sorted[0], sorted[len(sorted)-1], sorted[middle]
	if len(sorted)%2 == 0 {
		s.Median = (sorted[middle-1] + sorted[middle]) / 2
	}
	s.ClientCores = s.cores / float64(len(sorted))
}

func (r *row) conclude() {
	r.Pop3d.conclude()
	r.Dovecot.conclude()
	better, worse := r.Pop3d.Median, r.Dovecot.Median
	if r.Less {
		better, worse = worse, better
	}
	if worse > 0 && better > 0 { // CPU time is none where a run is shorter than the kernel's unit
		r.Ratio = better / worse
	}
	r.Met = r.Ratio >= r.Target && (r.Limit == 0 || r.Pop3d.Median <= r.Limit)
}

// print writes a table.
func (r *results) print(to io.Writer) error {
	fmt.Fprintf(to, "%s against %s; %d CPUs, shared with the client; %s; load average %s at first and %s at last; %.0f s\n\n",
		r.Servers[0], r.Servers[1], r.CPUs, r.Begun.Format(time.DateOnly), r.Load[0], r.Load[1], r.Seconds)
	table := tabwriter.NewWriter(to, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "| workload\t| unit\t| pop3d (least–most)\t| Dovecot (least–most)\t| times better\t| target\t| met\t|")
	fmt.Fprintln(table, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, one := range r.Rows {
		fmt.Fprintf(table, "| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t|\n",
			one.Name, one.Unit, one.Pop3d, one.Dovecot, digits(one.Ratio), one.target(), one.met())
	}
	return table.Flush()
}

// String gives the median and the spread.
func (s side) String() string {
	return fmt.Sprintf("%s (%s–%s)", digits(s.Median), digits(s.Min), digits(s.Max))
}

// digits gives a number with three of them, and not as 1e+05.
func digits(x float64) string {
	if x == 0 {
		return "0"
	}
	decimals := max(0, 2-int(math.Floor(math.Log10(math.Abs(x)))))
	return strconv.FormatFloat(x, 'f', decimals, 64)
}

func (r *row) target() string {
	if r.Target == 0 {
		return "–"
	}
	text := "≥ " + plain(r.Target)
	if r.Limit > 0 {
		text += ", ≤ " + plain(r.Limit) + " " + r.Unit
	}
	return text
}

func plain(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

func (r *row) met() string {
	switch {
	case r.Target == 0:
		return "–"
	case r.Met:
		return "yes"
	}
	return "no"
}
