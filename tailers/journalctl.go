package tailers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// JournalSelection says which entries of which journal to read.
type JournalSelection struct {
	// Units are names or globs of systemd units, at least one. Names are selected
	// by the journal's index; with a glob every entry is read and looked at.
	Units []string
	// Directory is where the journal files are; "" is the host's own journal.
	Directory string
}

// Name returns a stable name of what is selected: "journald:postfix*", with a
// directory "journald:/host/journal:postfix*".
func (s JournalSelection) Name() string {
	name := "journald:"
	if s.Directory != "" {
		name += s.Directory + ":"
	}
	return name + strings.Join(s.Units, ",")
}

// journalFields are what records need to have beside their cursor and time.
const journalFields = "--output-fields=MESSAGE,_HOSTNAME,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_COMM,_SYSTEMD_UNIT,_SOURCE_REALTIME_TIMESTAMP"

// arguments returns those of journalctl that select. From the cursor on means with
// its own entry: that is how to see that the journal still has it. (--after-cursor
// leaves out one entry without looking whether it is that one.)
func (s JournalSelection) arguments(from cursor, extra ...string) []string {
	args := append([]string{"--output=json", "--all", "--no-pager", journalFields}, extra...)
	if s.Directory != "" {
		args = append(args, "--directory="+s.Directory)
	}
	if units(s.Units).exact() {
		for _, u := range s.Units {
			args = append(args, "--unit="+u)
		}
	}
	if from != "" {
		args = append(args, "--cursor="+string(from))
	}
	return args
}

// following returns the extra arguments for entries to come. journalctl then keeps
// to one boot, the last one, unless it merges journals. That is right for the host's
// own journal: all before has been read without following. In a directory another
// boot may begin.
func (s JournalSelection) following() []string {
	if s.Directory != "" {
		return []string{"--follow", "--no-tail", "--merge"}
	}
	return []string{"--follow", "--no-tail"}
}

// journalctl is a running child process.
type journalctl struct {
	cmd    *exec.Cmd
	stdout *os.File
	said   *complaints
}

// startJournalctl starts a child that runs until it ends by itself or stop.
func startJournalctl(program string, args []string, said *complaints) (*journalctl, error) {
	cmd := journalCommand(context.Background(), program, args)
	said.forget()
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start journalctl: %w", err)
	}
	stdout, ok := out.(*os.File) // for its deadline
	if !ok {
		return nil, errors.New("start journalctl: its output is no pipe")
	}
	if err := cmd.Start(); err != nil {
		return nil, journalError(err, "")
	}
	return &journalctl{cmd, stdout, said}, nil
}

// journalCommand returns a command whose messages can be recognised.
func journalCommand(ctx context.Context, program string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0")
	cmd.SysProcAttr = childAttributes()
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// read reads into b. It returns os.ErrDeadlineExceeded once wait is over, ctx.Err()
// when ctx ends, and io.EOF when the child has ended.
func (c *journalctl) read(ctx context.Context, b []byte, wait time.Duration) (int, error) {
	if err := c.stdout.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return 0, fmt.Errorf("read journalctl: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.stdout.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	n, err := c.stdout.Read(b)
	switch {
	case n > 0:
		return n, nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.EOF):
		return 0, err
	}
	return 0, fmt.Errorf("read journalctl: %w", err)
}

// stop ends the child, if it still runs, waits for it and returns why it ended.
func (c *journalctl) stop() error {
	_ = c.cmd.Process.Kill() // it may have ended by itself
	return journalError(c.cmd.Wait(), c.said.text())
}

// end waits for a child that has closed its output and returns why it ended.
func (c *journalctl) end() error {
	return journalError(c.cmd.Wait(), c.said.text())
}

// Why there is nothing to read.
var (
	errJournalAbsent    = errors.New("there is no journalctl here: install systemd's, or follow a log file instead")
	errJournalForbidden = errors.New("the journal may not be read: add the user that mtatap runs as to the group systemd-journal (or adm), and start mtatap again")
	errNoJournal        = errors.New("there is no journal yet")
)

// journalError returns what it means that a child ended with err after it had said
// something on its standard error.
func journalError(err error, said string) error {
	says := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(said, t) })
	}
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return errJournalAbsent
	case err == nil:
		return nil
	case says("insufficient permissions", "Permission denied"):
		return errJournalForbidden
	case says("No such file or directory", "No journal files were found", "No such boot ID"):
		return errNoJournal
	case said != "":
		return fmt.Errorf("run journalctl: %w: %s", err, said)
	}
	return fmt.Errorf("run journalctl: %w", err)
}

// lastEntry returns the cursor of the last entry that is selected, "" if there is
// none. It blocks for as long as journalctl takes.
func lastEntry(ctx context.Context, program string, s JournalSelection) (cursor, error) {
	cmd := journalCommand(ctx, program, s.arguments("", "--lines=1"))
	said := &complaints{log: slog.New(slog.DiscardHandler), now: time.Now}
	cmd.Stderr = said
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err := journalError(err, said.text()); err != nil {
		return "", err
	}
	if strings.Contains(said.text(), "not seeing messages from other users") {
		return "", errJournalForbidden // those of a mail server among them
	}
	var last cursor
	for line := range bytes.Lines(out) {
		if c := cursorOf(line); c != nil {
			last = cursor(c)
		}
	}
	return last, nil
}

// complaints logs what children write to their standard error, each shape of line
// at most once a minute, and keeps what the present child has said.
type complaints struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	line  []byte
	said  []byte
	times map[string]time.Time // when each shape was logged last
}

const (
	maxComplaint       = 1 << 10 // bytes of a line, and of what is kept
	maxComplaintShapes = 64
	complainEvery      = time.Minute
)

// Write implements io.Writer.
func (c *complaints) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for line := range bytes.Lines(b) {
		c.line = append(c.line, line[:min(len(line), maxComplaint-len(c.line))]...)
		if line[len(line)-1] == '\n' {
			c.say(string(bytes.TrimSpace(c.line)))
			c.line = c.line[:0]
		}
	}
	return len(b), nil
}

func (c *complaints) say(line string) {
	if line == "" {
		return
	}
	if len(c.said) > 0 {
		c.said = append(c.said, "; "...)
	}
	c.said = append(c.said, line[:max(0, min(len(line), maxComplaint-len(c.said)))]...)
	if c.allow(line) {
		c.log.Warn("journalctl says", "text", line)
	}
}

// allow reports whether a line of that shape, digits apart, may be logged now.
func (c *complaints) allow(line string) bool {
	shape := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '0'
		}
		return r
	}, line)
	now := c.now()
	if last, ok := c.times[shape]; ok && now.Sub(last) < complainEvery {
		return false
	}
	if len(c.times) >= maxComplaintShapes || c.times == nil {
		c.times = map[string]time.Time{}
	}
	c.times[shape] = now
	return true
}

// text returns what the present child has said, as one line.
func (c *complaints) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.line) > 0 {
		c.say(string(bytes.TrimSpace(c.line)))
		c.line = c.line[:0]
	}
	return string(c.said)
}

// forget begins with another child.
func (c *complaints) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line, c.said = c.line[:0], c.said[:0]
}
