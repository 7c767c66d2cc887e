package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

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

	profiling profiling
}

func newClassify(env Environment) *cobra.Command {
	c := &classify{env: env}
	cmd := &cobra.Command{
		Use:   "classify [REPLY...]",
		Short: "Give the verdict on SMTP replies from arguments or standard input, one a line",
		Example: `  mtatap classify "550 5.1.1 User unknown"
  mtatap classify --explain < replies.txt
  mtatap classify --input json --output json < replies.jsonl`,
		RunE: func(_ *cobra.Command, args []string) error {
			return c.profiling.around(func() error { return c.run(args) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.input, "input", "text", "form of each line: text, json ({\"id\", \"text\", \"provider\", \"relay_host\", \"status\"})")
	f.StringVar(&c.output, "output", "text", "form of each verdict: text, json")
	f.StringVar(&c.rules, "rules", "", "rules file (default: the built-in rules)")
	f.BoolVar(&c.explain, "explain", false, "say why: what matched, what was shadowed, what the code tables say")
	c.profiling.register(f)
	return cmd
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
	var in io.Reader = promptReader{c.env.Stdin, w}
	if len(args) > 0 {
		in = strings.NewReader(strings.Join(args, "\n"))
	}
	err = c.each(in, w, set)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write verdicts: %w", err)
	}
	return err
}

// promptReader writes out what was answered before it waits for more to read,
// so that a program can ask and wait for the answer.
type promptReader struct {
	in  io.Reader
	out *bufio.Writer
}

func (p promptReader) Read(b []byte) (int, error) {
	if err := p.out.Flush(); err != nil {
		return 0, err
	}
	return p.in.Read(b)
}

// each answers each line of in. A line that cannot be read is told with its
// number and the rest goes on; the error at the end says how many there were.
func (c *classify) each(in io.Reader, w *bufio.Writer, set *rules.Set) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxReply)
	bad, number := 0, 0
	for lines.Scan() {
		number++
		q := question{}
		var err error
		if c.input == "json" {
			q, err = readQuestion(lines.Bytes())
		} else {
			q.Text = lines.Text()
		}
		if err == nil {
			err = c.answer(w, set, &q)
		}
		if err != nil {
			fmt.Fprintf(c.env.Stderr, "mtatap: line %d: read reply: %s\n", number, printable(err.Error()))
			bad++
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: read reply: %w", number+1, err)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d lines could not be read: want JSON objects with the reply in \"text\"", bad, number)
	}
	return nil
}

// answer writes the verdict on q; the error says why q cannot be read.
func (c *classify) answer(w *bufio.Writer, set *rules.Set, q *question) error {
	in := rules.ParseText(q.Text)
	if in.Provider = q.Provider; in.Provider == "" {
		in.Provider = set.Provider(q.RelayHost, "")
	}
	if q.Status != "" {
		status, ok := event.ParseStatus(q.Status)
		if !ok {
			return fmt.Errorf("unknown status %q", q.Status)
		}
		in.Status = status
	}
	if c.output == "json" {
		v := set.Classify(&in)
		b := appendVerdict(w.AvailableBuffer(), q.ID, &in, &v)
		if c.explain {
			matched, shadowed, all := explained(set, &in)
			b = appendStrings(b, `,"matched":`, matched)
			b = appendStrings(b, `,"shadowed":`, shadowed)
			b = appendJSON(b, `,"explanation":`, all)
		}
		w.Write(append(b, '}', '\n'))
	} else if c.explain {
		writeExplanation(w, newPainter(c.env), set, &in)
	} else {
		v := set.Classify(&in)
		fmt.Fprintf(w, "%-18s %-20s %-11s %-30s %s\n", v.Category, dash(v.Reason), v.Action, v.Rule, printable(q.Text))
	}
	return nil // what cannot be written is told by the next Flush
}

// appendVerdict appends the verdict as a JSON object without its end. What is
// unknown is left out. All words of a verdict are of letters, digits and what
// joins them, or no rules file would have been loaded: JSON escapes none of them.
func appendVerdict(b []byte, id []byte, in *rules.Input, v *event.Verdict) []byte {
	b = append(b, '{')
	if len(id) > 0 {
		if !utf8.Valid(id) {
			id = bytes.ToValidUTF8(id, []byte("\ufffd"))
		}
		b = append(append(append(b, `"id":`...), id...), ',')
	}
	b = append(append(b, `"category":"`...), v.Category...)
	b = append(append(b, `","bounce_type":"`...), v.BounceType...)
	if v.Reason != "" {
		b = append(append(b, `","reason":"`...), v.Reason...)
	}
	b = append(append(b, `","action":"`...), v.Action...)
	b = strconv.AppendBool(append(b, `","resend":`...), v.Resend)
	b = append(append(append(b, `,"rule":"`...), v.Rule...), '"')
	if in.Code != 0 {
		b = strconv.AppendInt(append(b, `,"smtp_code":`...), int64(in.Code), 10)
	}
	if in.Enhanced != "" {
		b = append(append(append(b, `,"enhanced_code":"`...), in.Enhanced...), '"')
	}
	return b
}

// appendJSON appends a member with any value that JSON has a form for.
func appendJSON(b []byte, key string, value any) []byte {
	data, err := json.Marshal(value)
	if err != nil { // of no value that is given here
		return b
	}
	return append(append(b, key...), data...)
}

// appendStrings appends a member with an array of strings, unless it is empty.
func appendStrings(b []byte, key string, all []string) []byte {
	for i, s := range all {
		if i == 0 {
			b = append(append(b, key...), '[')
		} else {
			b = append(b, ',')
		}
		b = event.AppendString(b, s)
	}
	if len(all) > 0 {
		b = append(b, ']')
	}
	return b
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// printable replaces what a terminal obeys or does not show: control characters, what
// turns the direction of writing, and bytes that are no UTF-8. The remote server chose
// the text. The result is one line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsGraphic(r) {
			return r
		}
		return '\ufffd'
	}, s)
}

// printableLines is printable for a text of several lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
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
