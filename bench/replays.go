package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mtatap/bench/logs"
)

// inTurn replays logs one after the other, several times, and returns the medians.
// args are added to those of each.
func (b *bench) inTurn(ctx context.Context, sets ...[]string) ([]usage, error) {
	all := make([][]usage, len(sets))
	for range b.pairs {
		for i, args := range sets {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			u, err := b.replay(args...)
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], u)
		}
	}
	medians := make([]usage, len(sets))
	for i := range all {
		medians[i] = middle(all[i])
	}
	return medians, nil
}

func failedOnly(ctx context.Context, b *bench) ([]row, error) {
	log, err := b.log(logs.Options{Lines: 1_000_000, FailedOnly: true})
	if err != nil {
		return nil, err
	}
	u, err := b.inTurn(ctx, []string{"--format", "postfix", log.path})
	if err != nil {
		return nil, err
	}
	rate := float64(log.lines) / u[0].wall.Seconds()
	return []row{{
		what:     "replay of failures, all replies distinct",
		measured: fmt.Sprintf("%.0f events/s", rate), target: "at least 500,000 events/s", verdict: verdict(rate >= 500_000),
	}}, nil
}

// eachLine replays logs in turn and returns the medians, and the time for a line
// of each in nanoseconds, without the time that an empty log takes.
func (b *bench) eachLine(ctx context.Context, formats []string, inputs []input) (medians []usage, ns []float64, startUp time.Duration, err error) {
	empty, err := b.empty()
	if err != nil {
		return nil, nil, 0, err
	}
	sets := [][]string{{"--format", "postfix", empty}}
	for i, in := range inputs {
		sets = append(sets, []string{"--format", formats[i], in.path})
	}
	all, err := b.inTurn(ctx, sets...)
	if err != nil {
		return nil, nil, 0, err
	}
	medians, startUp = all[1:], all[0].wall
	for i, u := range medians {
		ns = append(ns, float64((u.wall-startUp).Nanoseconds())/float64(inputs[i].lines))
	}
	return medians, ns, startUp, nil
}

// empty makes an empty log and returns its path.
func (b *bench) empty() (string, error) {
	dir, err := b.folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "empty.log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return "", fmt.Errorf("make empty log: %w", err)
	}
	return path, nil
}

func mailServers(ctx context.Context, b *bench) ([]row, error) {
	names := []string{"postfix", "exim", "haraka"}
	var inputs []input
	for _, name := range names {
		log, err := b.log(logs.Options{MTA: name, Lines: 2_000_000, Status: 1. / 9})
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, log)
	}
	_, ns, _, err := b.eachLine(ctx, names, inputs)
	if err != nil {
		return nil, err
	}
	var rows []row
	for i, title := range []string{"", "Exim", "Haraka"} {
		if i == 0 {
			continue
		}
		ratio := ns[i] / ns[0]
		rows = append(rows, row{
			what:     title + "'s log for each line, to Postfix's, without start-up",
			measured: fmt.Sprintf("%.2f times (%.0f ns to %.0f ns)", ratio, ns[i], ns[0]), target: "at most 2 times", verdict: verdict(ratio <= 2),
		})
	}
	return rows, nil
}

func linearity(ctx context.Context, b *bench) ([]row, error) {
	var inputs []input
	for _, millions := range []int{2, 8, 20} {
		log, err := b.log(logs.Options{Lines: millions * 1_000_000})
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, log)
	}
	u, ns, startUp, err := b.eachLine(ctx, []string{"postfix", "postfix", "postfix"}, inputs)
	if err != nil {
		return nil, err
	}
	last := u[len(u)-1].peak
	return []row{
		{what: "2, 8, 20 million lines, without start-up", measured: fmt.Sprintf("%.0f, %.0f, %.0f ns a line (start-up %s)", ns[0], ns[1], ns[2], milliseconds(startUp)),
			target: "within 10 %", verdict: verdict(slices.Max(ns) <= 1.1*slices.Min(ns))},
		{what: "memory of replay, 20 million lines", measured: mebibytes(last), target: "at most 40 MiB", verdict: verdict(last <= 40<<20)},
	}, nil
}

// moreRules replays failures with the default rules and with ten times as many.
func moreRules(ctx context.Context, b *bench) ([]row, error) {
	log, err := b.log(logs.Options{Lines: 1_000_000, FailedOnly: true})
	if err != nil {
		return nil, err
	}
	folder, err := b.folder()
	if err != nil {
		return nil, err
	}
	own, err := os.ReadFile("rules.yaml")
	if err != nil {
		return nil, fmt.Errorf("read default rules: %w", err)
	}
	n := 9 * strings.Count(string(own), "  - id: ")
	rules := generatedRules(n)
	config := "sources: [{path: unused.log}]\nsinks: {stdout: {}}\nrules: rules.yaml\n"
	for name, text := range map[string]string{"rules.yaml": rules, "mtatap.yaml": config} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write rules: %w", err)
		}
	}
	empty, err := b.empty()
	if err != nil {
		return nil, err
	}
	with := []string{"--config.file", filepath.Join(folder, "mtatap.yaml")}
	u, err := b.inTurn(ctx, []string{"--format", "postfix", log.path}, append(with, "--format", "postfix", log.path),
		[]string{"--format", "postfix", empty}, append(with, "--format", "postfix", empty))
	if err != nil {
		return nil, err
	}
	// Loading rules is not cost of an event.
	few, many := u[0].wall-u[2].wall, u[1].wall-u[3].wall
	ratio := many.Seconds() / few.Seconds()
	return []row{{
		what:     fmt.Sprintf("%d rules more than the default ones, failures only", n),
		measured: fmt.Sprintf("%.2f times the time", ratio), target: "at most 1.3 times", verdict: verdict(ratio <= 1.3),
	}}, nil
}

// generatedRules makes n rules before the default ones, whose words are those of
// replies and which need a look therefore, and which never match.
func generatedRules(n int) string {
	words := strings.Fields("mailbox recipient address sender message server quota policy relay domain host connection " +
		"rejected refused denied blocked unknown disabled full exceeded temporary permanent invalid closed")
	var b strings.Builder
	b.WriteString("schema: 1\nversion: generated\nextends: default\nrules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {id: generated-%d, category: general, match: [", i)
		for j := range 20 {
			word := func(k int) string { return words[(i*7+j*13+k*5+i/11)%len(words)] }
			fmt.Fprintf(&b, "%s %s %s no%d, ", word(0), word(1), word(2), i)
		}
		b.WriteString("]}\n")
	}
	return b.String()
}
