package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"mtatap/bench/logs"
)

// replay runs `mtatap replay` of a log to its end, events thrown away.
func (b *bench) replay(args ...string) (usage, error) {
	return toEnd(exec.Command(b.mtatap, append([]string{"replay", "--quiet"}, args...)...))
}

// result is what the runs of one program gave.
type result struct {
	peer
	runs    []usage
	ratios  []float64 // of its time to that of mtatap's run just before
	counted int
	problem error
}

// sideBySide runs mtatap and each peer in turn.
func sideBySide(ctx context.Context, b *bench) ([]row, error) {
	log, err := b.log(logs.Options{Lines: 2_000_000})
	if err != nil {
		return nil, err
	}
	_, want, err := count(log.path, []byte(", status="))
	if err != nil {
		return nil, err
	}
	if events, err := b.events(log); err != nil || events != want {
		return nil, fmt.Errorf("mtatap printed %d events of %d (%v)", events, want, err)
	}
	results := make([]*result, len(peers))
	var ours []usage
	for i, p := range peers {
		r := &result{peer: p}
		results[i] = r
		k, err := b.install(ctx, p.packages...)
		if err != nil {
			r.problem = err
			continue
		}
		for !b.enough(r.runs) {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			u, err := b.replay("--format", "postfix", log.path)
			if err != nil {
				return nil, err
			}
			ours = append(ours, u)
			if k.work, err = b.folder(); err != nil {
				return nil, err
			}
			theirs, n, err := p.run(ctx, k, log)
			os.RemoveAll(k.work)
			if err == nil && n < want*99/100 {
				err = fmt.Errorf("%s found %d outcomes of %d", p.name, n, want)
			}
			if err != nil {
				r.problem = err
				break
			}
			r.runs, r.counted = append(r.runs, theirs), n
			r.ratios = append(r.ratios, float64(theirs.wall)/float64(u.wall))
			fmt.Fprintf(os.Stderr, "mtatap %s, %s %s\n", seconds(u.wall), p.name, seconds(theirs.wall))
		}
		if r.problem != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", p.name, r.problem)
		}
	}
	us := middle(ours)
	table := b.table(log, want, us, len(ours), results)
	fmt.Print(table)
	if b.document != "" {
		if err := replaceText(b.document, "peers", table); err != nil {
			return nil, err
		}
	}
	return peerRows(us, results), nil
}

// events counts what replay prints.
func (b *bench) events(log input) (int, error) {
	cmd := exec.Command("sh", "-c", `"$0" replay --quiet --format postfix "$1" | wc -l`, b.mtatap, log.path)
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("replay: %w", err)
	}
	var n int
	_, err = fmt.Sscan(string(out), &n)
	return n, err
}

func (b *bench) table(log input, outcomes int, us usage, runs int, results []*result) string {
	var t strings.Builder
	fmt.Fprintf(&t, "A Postfix log of %d lines (%s), %d of them outcomes, from memory. mtatap ran before each run of a peer; medians of all runs. "+
		"The ratio is the median of those of neighbouring runs.\n\n", log.lines, mebibytes(log.bytes), outcomes)
	t.WriteString("| program | version | what it does | runs | time | CPU | memory | time / mtatap's | outcomes found |\n|---|---|---|---|---|---|---|---|---|\n")
	fmt.Fprintf(&t, "| mtatap replay | this | classified events, JSON | %d | %s | %s | %s | 1 | %d |\n", runs, seconds(us.wall), seconds(us.cpu), mebibytes(us.peak), outcomes)
	for _, r := range results {
		version := "in go.mod"
		if r.version != nil {
			version = versionOf(r.version(&kit{root: b.cache + "/peers"}))
		}
		if len(r.runs) == 0 {
			fmt.Fprintf(&t, "| %s | | %s | 0 | not measured: %s | | | | |\n", r.name, r.does, oneLine(r.problem))
			continue
		}
		u := middle(r.runs)
		fmt.Fprintf(&t, "| %s | %s | %s | %d | %s | %s | %s | %.2f | %d |\n", r.name, version, r.does, len(r.runs), seconds(u.wall), seconds(u.cpu), mebibytes(u.peak), median(r.ratios), r.counted)
	}
	return t.String()
}

func oneLine(err error) string {
	if err == nil {
		return "no run"
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	return strings.ReplaceAll(text[:min(len(text), 160)], "|", "/")
}

// peerRows compares with the targets.
func peerRows(us usage, results []*result) []row {
	rows := []row{{what: "memory of replay, 2 million lines", measured: mebibytes(us.peak), target: "at most 40 MiB", verdict: verdict(us.peak <= 40<<20)}}
	for _, r := range results {
		if len(r.ratios) == 0 {
			continue
		}
		ratio := median(r.ratios)
		switch r.name {
		case "grep -c":
			grep := time.Duration(float64(us.wall) * ratio)
			rows = append(rows,
				row{what: "replay, time to grep's", measured: fmt.Sprintf("%.1f times", 1/ratio), target: "at most 5 times", verdict: verdict(1/ratio <= 5)},
				row{what: "replay, CPU to grep's time", measured: fmt.Sprintf("%.1f times", float64(us.cpu)/float64(grep)), target: "at most 7.5 times", verdict: verdict(float64(us.cpu)/float64(grep) <= 7.5)})
		case "rsyslog":
			rows = append(rows, row{what: "replay, ahead of rsyslog", measured: fmt.Sprintf("%.0f times", ratio), target: "at least 18 times", verdict: verdict(ratio >= 18)})
		case "mtail", "mtail, plain":
			rows = append(rows, row{what: "replay, ahead of " + r.name, measured: fmt.Sprintf("%.0f times", ratio), target: "at least 60 times", verdict: verdict(ratio >= 60)})
		}
	}
	return rows
}
