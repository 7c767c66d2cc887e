package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"mtatap/event"
)

// Load reads the rules file at path; see Parse.
func Load(path string, base *Set) (*Set, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("load rules: %w", err)
	}
	defer file.Close()
	// One byte more than allowed, so that Parse sees that there is more. What is no
	// regular file has no size that could be looked at before.
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("load rules: %w", err)
	}
	return Parse(path, data, base)
}

// Parse compiles a rules file and runs its examples. name is used in messages.
// base is the set that "extends: default" refers to; nil if there is none. The
// error joins everything that is wrong, each "name:line: what and what to do".
func Parse(name string, data []byte, base *Set) (*Set, error) {
	r := &reader{name: name}
	if len(data) > maxFile {
		r.fail(1, "the file has more than %d bytes: leave rules out, or write phrases instead of many alike", maxFile)
		return nil, r.err()
	}
	root := r.root(data)
	if root == nil {
		return nil, r.err()
	}
	f, line := r.file(root, base), root.Line // and no more of root, which takes more memory than the set
	if f.extends && base == nil {
		r.fail(line, "extends: there is no default set here: remove it")
	}
	if !f.extends {
		base = nil
	}
	s := r.join(f, base)
	if len(r.problems) > 0 {
		r.runSoundExamples(s, f)
		return nil, r.err()
	}
	sum := sha256.New()
	if base != nil {
		sum.Write([]byte(base.sha256))
	}
	sum.Write(data)
	s.sha256 = hex.EncodeToString(sum.Sum(nil))
	if err := s.compile(); err != nil {
		r.fail(line, "%v", err)
		return nil, r.err()
	}
	r.runExamples(s, f.rules)
	if len(r.problems) > 0 {
		return nil, r.err()
	}
	return s, nil
}

// runSoundExamples runs examples although some rules are wrong, so that all that
// fails is told at once. Without the wrong rules an example may be decided by its
// rule that is not in the end, but none fails that would not; counterexamples
// might, and are left for the next time.
func (r *reader) runSoundExamples(s *Set, f *file) {
	if len(r.problems) > r.inRules {
		return // categories, words or the like are wrong: nothing is certain
	}
	broken := func(u *rule) bool { return u.broken }
	s.rules = slices.DeleteFunc(s.rules, broken)
	if s.compile() != nil {
		return // told when the rules are mended
	}
	for _, u := range f.rules {
		if !u.broken {
			r.runExamples(s, []*rule{{id: u.id, providers: u.providers, statuses: u.statuses, phases: u.phases, examples: u.examples}})
		}
	}
}

// join puts what f says on top of base and checks all references.
func (r *reader) join(f *file, base *Set) *Set {
	if base == nil {
		base = &Set{}
	}
	s := &Set{name: r.name, version: f.version, words: f.allWords(base)}
	s.categories = overlay(base.categories, f.categories, func(c category) event.Category { return c.name })
	s.providers = r.joinProviders(f, base)
	s.conversions = slices.Clone(base.conversions)
	for _, c := range f.conversions {
		r.checkConversion(s, c)
		s.conversions = overlay(s.conversions, []Conversion{c.Conversion}, func(c Conversion) event.Category { return c.From })
	}
	r.checkInherited(f, s)
	s.suppression = r.joinSuppression(f, base, s)
	r.checkCategories(f, s)
	s.rules = r.joinRules(f, base)
	r.checkRules(f, s)
	s.enhanced, s.reply = r.joinCodes(f, base, s)
	return s
}

// overlay returns base with each item of top in place of the one with the same
// key, or at the end.
func overlay[T any, K comparable](base, top []T, key func(T) K) []T {
	all := slices.Clone(base)
	for _, t := range top {
		if i := slices.IndexFunc(all, func(b T) bool { return key(b) == key(t) }); i >= 0 {
			all[i] = t
		} else {
			all = append(all, t)
		}
	}
	return all
}

// joinProviders adds hosts and domains to the groups of base; a host or domain
// that moves to another group is the newer group's.
func (r *reader) joinProviders(f *file, base *Set) providerTable {
	t := newProviderTable(nil)
	for _, name := range base.providers.names {
		t.names, t.numbers[name] = append(t.names, name), len(t.names)
	}
	for h, name := range base.providers.byHost {
		t.byHost[h] = name
	}
	for d, name := range base.providers.byDomain {
		t.byDomain[d] = name
	}
	own := map[string]string{}
	for _, g := range f.providers {
		if _, ok := t.numbers[g.name]; !ok {
			t.numbers[g.name] = len(t.names)
			t.names = append(t.names, g.name)
		}
		add := func(kind string, names []string, by map[string]string) {
			for _, d := range names {
				if other := own[kind+d]; other != "" {
					r.fail(g.line, "provider %s: %s %s is already listed for %s: keep one", g.name, kind, d, other)
				}
				own[kind+d], by[d] = g.name, g.name
			}
		}
		add("host", g.hosts, t.byHost)
		add("domain", g.domains, t.byDomain)
	}
	return t
}

func (s *Set) category(name string) (category, bool) {
	i := slices.IndexFunc(s.categories, func(c category) bool { return string(c.name) == name })
	if i < 0 {
		return category{}, false
	}
	return s.categories[i], true
}

func (r *reader) checkCategories(f *file, s *Set) {
	for _, need := range []event.Category{event.CategoryDelivered, event.CategoryTransient, event.CategoryGeneral} {
		c, ok := s.category(string(need))
		switch {
		case !ok:
			r.fail(1, "category %s is missing and no verdict can do without it: declare it, or write extends: default", need)
		case need == event.CategoryDelivered && c.kind != event.None:
			r.fail(c.line, "category %s: its type must be none", need)
		case need != event.CategoryDelivered && c.kind != event.Soft:
			r.fail(c.line, "category %s: its type must be soft: it is what unknown replies become", need)
		}
	}
	for _, c := range f.categories {
		if c.action == event.Suppress && c.kind != event.Hard {
			r.fail(c.line, "category %s: only a category of type hard may suppress: choose another action", c.name)
		}
	}
}

func (r *reader) checkConversion(s *Set, c located2) {
	from, ok := s.category(string(c.From))
	if !ok || from.kind != event.Soft || from.action != event.Watch || c.From.NeverSuppresses() {
		r.fail(c.line, "conversion of %s: want a category of type soft that tells about the recipient: no block, spam, relay, size, challenge or transient", c.From)
	}
	if to, ok := s.category(string(c.To)); c.To != "" && (!ok || to.kind != event.Hard) {
		r.fail(c.line, "conversion of %s: to: want a category of type hard, not %q", c.From, c.To)
	}
}

// checkInherited finds conversions of the base that a redeclared category breaks.
func (r *reader) checkInherited(f *file, s *Set) {
	for _, c := range s.conversions {
		if slices.ContainsFunc(f.conversions, func(own located2) bool { return own.From == c.From }) {
			continue // checked where it stands
		}
		for _, own := range f.categories {
			if own.name == c.From && own.kind != event.Soft {
				r.fail(own.line, "category %s: its type must be soft as long as it converts to %s: declare another conversion of it", own.name, c.To)
			}
			if own.name == c.To && own.kind != event.Hard {
				r.fail(own.line, "category %s: its type must be hard as long as %s converts to it: declare another conversion of %s", own.name, c.From, c.From)
			}
		}
	}
}

// joinRules puts new rules of f before those of base, in place of the one with
// the same id where there is one, and leaves out the disabled.
func (r *reader) joinRules(f *file, base *Set) []*rule {
	at := make(map[string]int, len(base.rules))
	ids := make([]string, len(base.rules))
	for i, u := range base.rules {
		at[u.id], ids[i] = i, u.id
	}
	old := slices.Clone(base.rules)
	for _, d := range f.disable {
		i, ok := at[d.text]
		if r.full() {
			break
		}
		if !ok {
			r.fail(d.line, "disable: the default set has no rule %q%s", d.text, didYouMean(d.text, ids))
			continue
		}
		old[i] = nil
	}
	var all []*rule
	for _, u := range f.rules {
		if i, ok := at[u.id]; ok {
			if old[i] == nil {
				r.fail(u.line, "rule %s: it is disabled and replaced: do one of the two", u.id)
			}
			old[i] = u
		} else {
			all = append(all, u)
		}
	}
	return append(all, slices.DeleteFunc(old, func(u *rule) bool { return u == nil })...)
}

func (r *reader) checkRules(f *file, s *Set) {
	for _, u := range f.rules {
		what := "rule " + u.id + ": "
		broken := r.within(func() {
			r.checkCategory(s, u.category, what)
			for _, p := range u.providers {
				if s.providers.number(p.text) < 0 {
					r.fail(p.line, "%sprovider: unknown group %q%s", what, p.text, didYouMean(p.text, s.providers.names))
				}
			}
		})
		u.broken = u.broken || broken
	}
}

func (r *reader) checkCategory(s *Set, name located, what string) {
	if _, ok := s.category(name.text); !ok && name.text != "" {
		var known []string
		for _, c := range s.categories {
			known = append(known, string(c.name))
		}
		r.fail(name.line, "%scategory: unknown category %s", what, oneOf(name.text, known))
	}
}

// joinCodes builds both tables. Class 4 of the enhanced codes follows from
// class 5.
func (r *reader) joinCodes(f *file, base, s *Set) (map[enhancedCode]*opinion, map[int]*opinion) {
	enhanced := make(map[enhancedCode]*opinion, 2*len(f.enhanced)+len(base.enhanced))
	reply := make(map[int]*opinion, len(f.reply)+len(base.reply))
	// The rows of base are made anew: f may have changed their category.
	for code, o := range base.enhanced {
		enhanced[code] = s.opinion(o.row, o.key)
	}
	for code, o := range base.reply {
		reply[code] = s.opinion(o.row, o.key)
	}
	for _, row := range f.enhanced {
		r.checkCategory(s, row.category, "enhanced code "+row.key+": ")
		code := parseEnhanced(row.key)
		enhanced[code] = s.opinion(row, "enhanced:"+row.key)
		if code != 0 {
			enhanced[code-makeEnhanced(1, 0, 0)] = s.opinion(row, "enhanced:4"+row.key[1:])
		}
	}
	for _, row := range f.reply {
		r.checkCategory(s, row.category, "reply code "+row.key+": ")
		code, _ := strconv.Atoi(row.key)
		reply[code] = s.opinion(row, "reply:"+row.key)
	}
	return enhanced, reply
}
