package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"mtatap/bench/logs"
	"mtatap/e2e/port"
)

// sidecar is a running `mtatap run`.
type sidecar struct {
	*process
	web string
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// sidecar starts `mtatap run` with args; its events go to stdout, nil throws them
// away.
func (b *bench) sidecar(stdout io.Writer, args ...string) (*sidecar, error) {
	addr, release, err := port.Reserve(loopback)
	if err != nil {
		return nil, err
	}
	defer release()
	web := addr.String()
	cmd := exec.Command(b.mtatap, append([]string{"run", "--log.level", "error", "--web.listen-address", web}, args...)...)
	cmd.Stdout = stdout
	p, err := start(cmd)
	if err != nil {
		return nil, err
	}
	s := &sidecar{p, web}
	return s, s.until(20*time.Second, func() bool {
		res, err := http.Get("http://" + web + "/-/healthy")
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
}

// metric returns the sum of a metric's series.
func (s *sidecar) metric(name string) float64 {
	res, err := http.Get("http://" + s.web + "/metrics")
	if err != nil {
		return -1
	}
	defer res.Body.Close()
	sum := 0.0
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		line := lines.Bytes()
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok && len(rest) > 0 && (rest[0] == '{' || rest[0] == ' ') {
			v, _ := strconv.ParseFloat(string(line[bytes.LastIndexByte(line, ' ')+1:]), 64) // 0 for what is no number
			sum += v
		}
	}
	return sum
}

// follow writes 100,000 lines a second and looks at what following them costs.
func follow(ctx context.Context, b *bench) ([]row, error) {
	const rate, tick = 100_000, 10 * time.Millisecond
	span := 10 * time.Second
	if b.quick {
		span = 3 * time.Second
	}
	var shares []float64
	var late []time.Duration
	for range b.pairs {
		share, lag, err := b.followOnce(ctx, rate, tick, span)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "%.1f %% of a core, %s behind at the end\n", 100*share, milliseconds(lag))
		shares, late = append(shares, share), append(late, lag)
	}
	share, lag := median(shares), median(late)
	return []row{
		{what: "follow 100,000 lines/s", measured: fmt.Sprintf("%.1f %% of a core", 100*share), target: "under 25 % of a core", verdict: verdict(share < 0.25)},
		{what: "follow 100,000 lines/s, last line read", measured: milliseconds(lag) + " after it was written", target: "keeps up", verdict: verdict(lag < time.Second)},
	}, nil
}

func (b *bench) followOnce(ctx context.Context, rate int, tick, span time.Duration) (share float64, lag time.Duration, err error) {
	dir, err := b.folder()
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	log, err := os.Create(filepath.Join(dir, "mail.log"))
	if err != nil {
		return 0, 0, fmt.Errorf("make log: %w", err)
	}
	defer log.Close()
	var text bytes.Buffer
	if err := logs.Write(&text, logs.Options{Lines: rate, Seed: 2}); err != nil { // one second of it, again and again
		return 0, 0, err
	}
	lines := bytes.SplitAfter(text.Bytes(), []byte("\n"))[:rate]
	s, err := b.sidecar(nil, log.Name())
	if err != nil {
		return 0, 0, err
	}
	defer s.stop()
	before := s.now()
	begin := time.Now()
	written := 0
	for time.Since(begin) < span && ctx.Err() == nil {
		due := int(time.Since(begin).Seconds() * float64(rate))
		for written < due {
			n := min(due-written, rate-written%rate)
			part := bytes.Join(lines[written%rate:written%rate+n], nil)
			if _, err := log.Write(part); err != nil {
				return 0, 0, fmt.Errorf("write log: %w", err)
			}
			written += n
		}
		time.Sleep(tick)
	}
	after := s.now()
	end := time.Now()
	err = s.until(30*time.Second, func() bool { return s.metric("mtatap_lines_total") >= float64(written) })
	return (after.cpu - before.cpu).Seconds() / (after.wall - before.wall).Seconds(), time.Since(end), err
}

// stampedLine is a line whose recipient tells when it was written.
func stampedLine(buf []byte, now time.Time) []byte {
	buf = now.AppendFormat(buf[:0], "Jan _2 15:04:05")
	buf = append(buf, " mta-out postfix/smtp[1002]: 4ACA982E20: to=<t"...)
	buf = strconv.AppendInt(buf, now.UnixNano(), 10)
	return append(buf, "@example.com>, relay=mx1.example.com[198.51.100.7]:25, delay=1.5, delays=0.1/0/0.3/1.1, dsn=5.1.1, status=bounced "+
		"(host mx1.example.com[198.51.100.7] said: 550 5.1.1 User unknown (in reply to RCPT TO command))\n"...)
}

// sinceStamp returns how long ago the line of an event was written.
func sinceStamp(event []byte, now time.Time) (time.Duration, bool) {
	_, rest, ok := bytes.Cut(event, []byte(`"recipient":"t`))
	digits, _, ok2 := bytes.Cut(rest, []byte("@"))
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return now.Sub(time.Unix(0, n)), ok && ok2 && err == nil
}

// appendSteadily appends rate stamped lines a second, each in a write of its own,
// and returns how many.
func appendSteadily(ctx context.Context, log *os.File, rate int, span time.Duration) (int, error) {
	var buf []byte
	begin := time.Now()
	for n := 0; ; n++ {
		at := begin.Add(time.Duration(n) * time.Second / time.Duration(rate))
		if at.Sub(begin) >= span || ctx.Err() != nil {
			return n, nil
		}
		time.Sleep(time.Until(at))
		buf = stampedLine(buf, time.Now())
		if _, err := log.Write(buf); err != nil {
			return n, fmt.Errorf("write log: %w", err)
		}
	}
}

// stdoutLatency measures from the append of a line to its event on stdout.
func stdoutLatency(ctx context.Context, b *bench) ([]row, error) {
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "mail.log"))
	if err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	defer log.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer read.Close()
	s, err := b.sidecar(write, log.Name())
	write.Close()
	if err != nil {
		return nil, err
	}
	took := make(chan []time.Duration)
	go func() {
		var all []time.Duration
		for lines := bufio.NewScanner(read); lines.Scan(); {
			if d, ok := sinceStamp(lines.Bytes(), time.Now()); ok {
				all = append(all, d)
			}
		}
		took <- all
	}()
	n, err := appendSteadily(ctx, log, 1000, 10*time.Second)
	if err != nil {
		return nil, err
	}
	time.Sleep(time.Second)
	if err := s.stop(); err != nil {
		return nil, err
	}
	all := <-took
	if len(all) != n {
		return nil, fmt.Errorf("%d events of %d lines", len(all), n)
	}
	p50 := percentile(all, 50)
	return []row{{
		what:     "append to standard output, 1,000 lines/s",
		measured: fmt.Sprintf("p50 %s, p99 %s", milliseconds(p50), milliseconds(percentile(all, 99))), target: "p50 under 2 ms", verdict: verdict(p50 < 2*time.Millisecond),
	}}, nil
}

// backlog measures from start to the first event where there is much to read.
func backlog(ctx context.Context, b *bench) ([]row, error) {
	log, err := b.log(logs.Options{Lines: 20_000_000})
	if err != nil {
		return nil, err
	}
	var took []time.Duration
	for range b.pairs {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		read, write, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("make pipe: %w", err)
		}
		cmd := exec.Command(b.mtatap, "run", "--log.level", "error", "--web.listen-address", "127.0.0.1:0", log.path)
		cmd.Stdout = write
		p, err := start(cmd)
		write.Close()
		if err != nil {
			return nil, err
		}
		line, err := bufio.NewReader(read).ReadBytes('\n')
		took = append(took, time.Since(p.start))
		read.Close()
		_ = p.cmd.Process.Kill()
		<-p.ended
		if err != nil || !bytes.HasPrefix(line, []byte(`{"schema_version":1`)) {
			return nil, fmt.Errorf("first line of output: %q (%v) %s", line, err, p.stderr.String())
		}
	}
	d := median(took)
	return []row{{
		what: "start to first event, backlog of " + mebibytes(log.bytes), measured: milliseconds(d), target: "under 100 ms", verdict: verdict(d < 100*time.Millisecond),
	}}, nil
}

// idle follows 100 files where nothing happens.
func idle(ctx context.Context, b *bench) ([]row, error) {
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := logs.Write(&text, logs.Options{Lines: 100}); err != nil {
		return nil, err
	}
	for i := range 100 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("mail%d.log", i)), text.Bytes(), 0o600); err != nil {
			return nil, fmt.Errorf("make log: %w", err)
		}
	}
	config := fmt.Sprintf("sources: [{path: '%s/mail*.log', format: postfix}]\nstate_dir: %s/state\nsinks: {file: {path: %s/events.ndjson}}\n", dir, dir, dir)
	if err := os.WriteFile(filepath.Join(dir, "mtatap.yaml"), []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	s, err := b.sidecar(nil, "--config.file", filepath.Join(dir, "mtatap.yaml"))
	if err != nil {
		return nil, err
	}
	defer s.stop()
	settle, span := 5*time.Second, 60*time.Second
	if b.quick {
		settle, span = time.Second, 5*time.Second
	}
	if err := pause(ctx, settle); err != nil {
		return nil, err
	}
	before, memory, goroutines := s.now(), s.memory(), s.metric("go_goroutines")
	if err := pause(ctx, span); err != nil {
		return nil, err
	}
	after := s.now()
	share := (after.cpu - before.cpu).Seconds() / (after.wall - before.wall).Seconds()
	// The heap fills up to its next collection, and our own question is answered
	// by a goroutine.
	const slack = 4 << 20
	growth, more := s.memory()-memory, s.metric("go_goroutines")-goroutines
	return []row{
		{what: "idle with 100 files", measured: fmt.Sprintf("%.2f %% of a core", 100*share), target: "under 0.5 % of a core", verdict: verdict(share < 0.005)},
		{what: "idle with 100 files, growth in " + span.String(), measured: fmt.Sprintf("%s, %.0f goroutines", mebibytes(growth), more), target: "none (within 4 MiB, 1 goroutine)", verdict: verdict(growth < slack && more <= 1)},
	}, nil
}

// memory returns what the process has in memory now.
func (p *process) memory() int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)) // 0 if it has ended
	return kilobytes(status, "VmRSS:")
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
