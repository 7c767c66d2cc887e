package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// usage is what a process took.
type usage struct {
	wall time.Duration
	cpu  time.Duration // user and system, of all threads
	peak int64         // most bytes in memory at once
}

// process is one that is watched while it runs.
type process struct {
	cmd    *exec.Cmd
	start  time.Time
	peak   atomic.Int64
	stderr bytes.Buffer
	ended  chan struct{}
	err    error
}

// start starts cmd and looks at its memory until it ends.
func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{})}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.stderr
	}
	p.start = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Args[0], err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	go p.watch()
	return p, nil
}

// watch keeps the most memory that the process had. The kernel's own account of
// an ended child counts the parent's memory in.
func (p *process) watch() {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)); err == nil {
			p.peak.Store(max(p.peak.Load(), kilobytes(status, "VmHWM:")))
		}
		select {
		case <-p.ended:
			return
		case <-tick.C:
		}
	}
}

// kilobytes returns a line of /proc/PID/status in bytes, 0 if it is not there.
func kilobytes(status []byte, key string) int64 {
	_, rest, _ := bytes.Cut(status, []byte(key))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return n * 1024
}

// now returns what the process has taken until now.
func (p *process) now() usage {
	u := usage{wall: time.Since(p.start), peak: p.peak.Load()}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return u
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) > 12 {
		user, _ := strconv.ParseInt(fields[11], 10, 64)
		system, _ := strconv.ParseInt(fields[12], 10, 64)
		u.cpu = time.Duration(user+system) * (time.Second / 100) // USER_HZ
	}
	return u
}

// wait waits for a good end.
func (p *process) wait() (usage, error) {
	<-p.ended
	u := usage{wall: time.Since(p.start), peak: p.peak.Load()}
	if state := p.cmd.ProcessState; state != nil {
		u.cpu = state.UserTime() + state.SystemTime()
	}
	return u, p.failure(p.err)
}

// stop ends the process in good order.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return p.failure(errors.New("did not stop"))
	}
	return nil
}

// running reports whether the process has not ended by itself.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) failure(err error) error {
	if err == nil {
		return nil
	}
	said := strings.TrimSpace(p.stderr.String())
	return fmt.Errorf("%s: %w: %s", p.cmd.Args[0], err, said[max(0, len(said)-500):])
}

// atMost is how long one run of a program may take.
const atMost = 5 * time.Minute

// toEnd runs cmd to its end.
func toEnd(cmd *exec.Cmd) (usage, error) {
	p, err := start(cmd)
	if err != nil {
		return usage{}, err
	}
	limit := time.AfterFunc(atMost, func() { _ = cmd.Process.Kill() }) // it may have ended
	defer limit.Stop()
	return p.wait()
}

// until waits for done to be true while the process runs, at most for limit.
func (p *process) until(limit time.Duration, done func() bool) error {
	deadline := time.Now().Add(limit)
	for !done() {
		if !p.running() {
			return p.failure(fmt.Errorf("ended too early (%v)", p.err))
		}
		if time.Now().After(deadline) {
			return p.failure(fmt.Errorf("not done after %s", limit))
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// median returns the middle one of values, which it sorts.
func median[T int64 | float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// percentile returns the value below which p percent of values, which it sorts,
// are.
func percentile(values []time.Duration, p int) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, len(values)*p/100)]
}

// middle returns the median of each part of several usages.
func middle(all []usage) usage {
	var wall, cpu []time.Duration
	var peak []int64
	for _, u := range all {
		wall, cpu, peak = append(wall, u.wall), append(cpu, u.cpu), append(peak, u.peak)
	}
	return usage{wall: median(wall), cpu: median(cpu), peak: median(peak)}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
func mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
