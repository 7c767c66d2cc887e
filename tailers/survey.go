package tailers

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"slices"
)

// survey finds out which files there are, gives each generation that has no
// file the one it continues in, and opens those never seen before. Afterwards
// f.current is what is at the path, nil if there is nothing.
func (f *Follower) survey(ctx context.Context) error {
	f.surveyed = f.opts.Now()
	f.stamp = stampOf(f.path).settled(f.surveyed)
	for _, g := range f.gens {
		if g.truncated() {
			f.detach(g)
		}
	}
	searching := slices.ContainsFunc(f.gens, func(g *generation) bool { return g.file == nil })
	seen, settled, err := gather(f.path, func(info fs.FileInfo) bool {
		return searching || f.first || !info.ModTime().Before(f.horizon) || f.grew(info)
	})
	if err != nil {
		f.complain("look for rotated files", err)
	}
	defer func() {
		for _, s := range seen {
			s.release()
		}
	}()

	f.leave()
	for _, s := range seen {
		if err := f.recognise(ctx, s); err != nil {
			return err
		}
	}
	if err := f.compareContent(ctx, seen); err != nil {
		return err
	}
	if slices.ContainsFunc(f.gens, (*generation).truncated) {
		// Cut while this looked: its copy may have been compared with nothing.
		return f.survey(ctx)
	}
	if f.first {
		f.recordAllAsDone(seen)
	}
	if err := f.takeUnread(ctx, seen); err != nil {
		return err
	}
	f.discover(seen)
	f.giveUp()
	f.first = false
	for _, g := range f.gens {
		g.rotated = g != f.current
		f.watch(g)
	}
	if !settled {
		f.stamp = stamp{}
	} else if f.current != nil {
		f.accounted = seen[len(seen)-1].info.ModTime()
		f.advanceHorizon()
	}
	return nil
}

// grew reports whether something was written to a file that is done.
func (f *Follower) grew(info fs.FileInfo) bool {
	id := identOf(info)
	return slices.ContainsFunc(f.done, func(r record) bool {
		return id != (ident{}) && id == r.ident() && info.Size() > r.Offset
	})
}

// recognise finds the generation that s is by device, inode and content.
func (f *Follower) recognise(ctx context.Context, s *sighting) error {
	for _, g := range f.gens {
		if g.file != nil {
			if os.SameFile(s.info, g.info) {
				s.known = true
				f.settle(s, g)
				return nil
			}
			continue
		}
		if s.is(g.want) {
			ok, err := g.attach(ctx, s)
			if err != nil {
				return err
			}
			if ok {
				f.settle(s, g)
				return nil
			}
		}
	}
	for _, r := range f.done {
		if !s.is(r) {
			continue
		}
		s.known = true
		if s.current || s.kind == plain && s.info.Size() > r.Offset {
			// Something was written to it after all.
			return f.reopen(ctx, s, r)
		}
		return nil
	}
	return nil
}

// reopen goes on with a finished generation.
func (f *Follower) reopen(ctx context.Context, s *sighting, r record) error {
	g := f.generation(r)
	if r.Seq == neverRead {
		g.seq = f.number()
	}
	ok, err := g.attach(ctx, s)
	if err != nil || !ok {
		s.known = false // is another one
		return err
	}
	f.forget(r)
	f.insert(g)
	f.settle(s, g)
	return nil
}

// settle notes that g is what is at the path, if s was found there.
func (f *Follower) settle(s *sighting, g *generation) {
	if s.current {
		f.current = g
	}
}

// compareContent finds, for what device and inode did not tell, the
// generations that were copied or compressed. Those of which most was read
// choose first, for two generations may begin with the same line.
func (f *Follower) compareContent(ctx context.Context, seen []*sighting) error {
	gens := slices.Clone(f.gens)
	slices.SortStableFunc(gens, func(a, b *generation) int {
		return cmp.Compare(min(b.record().Offset, leadSize), min(a.record().Offset, leadSize))
	})
	// A ghost is done, so it must choose before the done claim their copies.
	if err := f.search(ctx, gens, seen, true); err != nil {
		return err
	}
	for _, s := range seen {
		s.known = s.known || !s.current && slices.ContainsFunc(f.done, s.copies)
	}
	if err := f.search(ctx, gens, seen, false); err != nil {
		return err
	}
	for _, g := range gens {
		for _, s := range seen {
			if s.known || s.current || !s.within(g) {
				continue
			}
			s.known = true
			if g.file == nil {
				// g was truncated, and the copy was made before the last lines
				// of it were read.
				f.recordAsDone(s)
				f.copied(g, s)
				g.gap = ""
			}
		}
	}
	return nil
}

// search looks for the content of those gens that have no file in what no one
// has claimed, first in what is at the path, then from the oldest on.
func (f *Follower) search(ctx context.Context, gens []*generation, seen []*sighting, ghosts bool) error {
	for _, g := range gens {
		for i := range seen {
			s := seen[(i+len(seen)-1)%len(seen)]
			if g.file != nil || g.want.Lead.Length == 0 || g.ghost != ghosts {
				break
			}
			if s.known {
				continue
			}
			ok, err := g.attach(ctx, s)
			if err != nil {
				return err
			}
			if ok {
				f.copied(g, s)
				f.settle(s, g)
			}
		}
	}
	return nil
}

// takeUnread gives generations of which nothing is known but device and inode,
// for they were empty, the file that no other has claimed by its content.
func (f *Follower) takeUnread(ctx context.Context, seen []*sighting) error {
	for _, g := range f.gens {
		for _, s := range seen {
			if g.file != nil || g.want.Lead.Length > 0 || s.known || s.kind != plain || !s.sameInode(g.want) {
				continue
			}
			ok, err := g.attach(ctx, s)
			if err != nil {
				return err
			}
			if ok {
				f.settle(s, g)
			}
		}
	}
	return nil
}

// recordAllAsDone remembers the siblings that were there before the first
// start.
func (f *Follower) recordAllAsDone(seen []*sighting) {
	f.horizon = newest(seen)
	if now := f.opts.Now(); f.horizon.After(now) {
		f.horizon = now
	}
	for _, s := range seen {
		if !s.current && !s.known {
			f.recordAsDone(s)
		}
	}
}

// recordAsDone remembers s as a generation that needs no reading.
func (f *Follower) recordAsDone(s *sighting) {
	s.known = true
	g := f.generation(record{Seq: neverRead})
	g.info, g.file, g.kind = s.info, s.file, s.kind
	if s.kind != plain {
		// How long it is would take reading it.
		g.restore(int64(len(s.first)), s.first, nil)
	} else if err := g.goTo(s.info.Size(), s.first); err != nil {
		f.log.Debug("cannot read rotated file", "path", s.path, "err", err)
		return
	}
	f.finished(g.record())
}

// discover opens what is left over: generations that were never seen.
func (f *Follower) discover(seen []*sighting) {
	for _, s := range seen {
		if s.known {
			continue
		}
		if !s.current && s.info.ModTime().Before(f.horizon) || s.packs(seen) {
			continue
		}
		if !s.current && s.info.Size() == 0 {
			// What it is shows once it has content: a copy may be growing.
			if f.opts.Now().Sub(s.info.ModTime()) < f.opts.RotateWait {
				f.stamp = stamp{}
			}
			continue
		}
		started := f.next > 1
		g := f.generation(record{Seq: f.number()})
		g.file, g.info, g.kind, g.first = s.file, s.info, s.kind, s.first
		g.reach, g.grown = s.info.Size(), s.info.ModTime()
		s.taken = true
		if f.first && f.opts.Start == StartEnd {
			if err := g.seekEnd(s.first); err != nil {
				f.complain("find the end", err)
			}
		} else if started && !f.first {
			f.opts.Events.Rotated()
			f.log.Info("log was rotated", "path", f.path, "next", s.path)
		}
		f.insert(g)
		f.settle(s, g)
	}
}

// giveUp drops the generations that are nowhere.
func (f *Follower) giveUp() {
	f.gens = slices.DeleteFunc(f.gens, func(g *generation) bool {
		if g.file != nil {
			return false
		}
		unread := g.want.Offset > 0 || g.parked && g.want.Lead.Length > 0
		if g.gap != "" && unread && !g.ghost {
			f.opts.Events.Gap(g.gap)
			f.log.Warn("what followed in a log file is gone", "path", f.path, "offset", g.want.Offset, "kind", g.gap)
		}
		return true
	})
}
