package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"mtatap/event"
	"mtatap/rules"
)

// maxReply bounds a line of input: rules look at far less of it.
const maxReply = 1 << 20

type classify struct {
	env     Environment
	input   string
	output  string
	rules   string
	explain bool
}

func newClassify(env Environment) *cobra.Command {
	c := &classify{env: env}
	cmd := &cobra.Command{
		Use:   "classify [REPLY...]",
		Short: "Give the verdict on SMTP replies from arguments or standard input, one a line",
		Example: `  mtatap classify "550 5.1.1 User unknown"
  mtatap classify --explain < replies.txt
  mtatap classify --input json --output json < replies.jsonl`,
		RunE: func(_ *cobra.Command, args []string) error { return c.run(args) },
	}
	f := cmd.Flags()
	f.StringVar(&c.input, "input", "text", "form of each line: text, json ({\"id\", \"text\", \"provider\", \"relay_host\", \"status\"})")
	f.StringVar(&c.output, "output", "text", "form of each verdict: text, json")
	f.StringVar(&c.rules, "rules", "", "rules file (default: the built-in rules)")
	f.BoolVar(&c.explain, "explain", false, "say why: what matched, what was shadowed, what the code tables say")
	return cmd
}

// question is one reply to classify.
type question struct {
	ID        json.RawMessage `json:"id"`
	Text      string          `json:"text"`
	Provider  string          `json:"provider"`
	RelayHost string          `json:"relay_host"`
	Status    string          `json:"status"`
}

// answer is the verdict in JSON.
type answer struct {
	ID           json.RawMessage  `json:"id,omitempty"`
	Category     event.Category   `json:"category"`
	BounceType   event.BounceType `json:"bounce_type"`
	Reason       string           `json:"reason,omitempty"`
	Action       event.Action     `json:"action"`
	Resend       bool             `json:"resend"`
	Rule         string           `json:"rule"`
	SMTPCode     int              `json:"smtp_code,omitempty"`
	EnhancedCode string           `json:"enhanced_code,omitempty"`
	Matched      []string         `json:"matched,omitempty"`
	Shadowed     []string         `json:"shadowed,omitempty"`
	Explanation  *explanation     `json:"explanation,omitempty"`
}

func (c *classify) run(args []string) error {
	if err := errors.Join(oneOf("input", c.input, "text", "json"), oneOf("output", c.output, "text", "json")); err != nil {
		return err
	}
	set, err := loadRules(c.rules, c.env.Rules)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(c.env.Stdout, 64<<10)
	defer w.Flush()
	var in io.Reader = c.env.Stdin
	if len(args) > 0 {
		in = strings.NewReader(strings.Join(args, "\n"))
	}
	return c.each(in, func(q *question) error { return c.answer(w, set, q) })
}

// each calls f for each line of in. A line that cannot be read is told with its
// number and the rest goes on; the error at the end says how many there were.
func (c *classify) each(in io.Reader, f func(*question) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxReply)
	bad, number := 0, 0
	for lines.Scan() {
		number++
		q := question{Text: lines.Text()}
		if c.input == "json" {
			q = question{}
			if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
				fmt.Fprintf(c.env.Stderr, "mtatap: line %d: read reply: %v\n", number, err)
				bad++
				continue
			}
		}
		if err := f(&q); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: read reply: %w", number+1, err)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d lines are not JSON objects with the reply in \"text\"", bad, number)
	}
	return nil
}

func (c *classify) answer(w *bufio.Writer, set *rules.Set, q *question) error {
	in := rules.ParseText(q.Text)
	if in.Provider = q.Provider; in.Provider == "" {
		in.Provider = set.Provider(q.RelayHost, "")
	}
	if q.Status != "" {
		status, ok := event.ParseStatus(q.Status)
		if !ok {
			return fmt.Errorf("read reply: unknown status %q", q.Status)
		}
		in.Status = status
	}
	v := set.Classify(&in)
	if c.output == "text" {
		if c.explain {
			return writeExplanation(w, newPainter(c.env), set, &in)
		}
		_, err := fmt.Fprintf(w, "%-18s %-20s %-11s %-30s %s\n", v.Category, dash(v.Reason), v.Action, v.Rule, printable(q.Text))
		return err
	}
	a := answer{ID: q.ID, Category: v.Category, BounceType: v.BounceType, Reason: v.Reason, Action: v.Action, Resend: v.Resend,
		Rule: v.Rule, SMTPCode: in.Code, EnhancedCode: in.Enhanced}
	if c.explain {
		a.Matched, a.Shadowed, a.Explanation = explained(set, &in)
	}
	line, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode verdict: %w", err)
	}
	w.Write(line)
	return w.WriteByte('\n')
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// printable escapes control characters: the remote server chose the text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '\ufffd'
		}
		return r
	}, s)
}

// loadRules reads the rules file at path, or the built-in rules.
func loadRules(path string, builtin []byte) (*rules.Set, error) {
	set, err := rules.Parse("rules.yaml (built in)", builtin, nil)
	if err == nil && path != "" {
		set, err = rules.Load(path, set)
	}
	// Loading leaves several times what a set holds; without this the process
	// would keep that as long as it lives.
	debug.FreeOSMemory()
	return set, err
}
