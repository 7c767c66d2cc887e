package rules

import (
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// enhancedCode is an enhanced status code (RFC 3463) as one number, with a
// byte's worth of room for the class and ten bits for each other part; 0 is
// none.
type enhancedCode uint32

func makeEnhanced(class, subject, detail int) enhancedCode {
	return enhancedCode(class<<20 | subject<<10 | detail)
}

func (e enhancedCode) class() int { return int(e >> 20) }

// wild is the number of a part that may be anything.
const wild = 1023

// parseEnhanced reads an enhanced status code without allocating; 0 if s is
// none.
func parseEnhanced(s string) enhancedCode {
	class, s, ok := cutNumber(s)
	if !ok || class != 2 && class != 4 && class != 5 || s == "" || s[0] != '.' {
		return 0
	}
	subject, s, ok := cutNumber(s[1:])
	if !ok || s == "" || s[0] != '.' {
		return 0
	}
	detail, s, ok := cutNumber(s[1:])
	if !ok || s != "" {
		return 0
	}
	return makeEnhanced(class, subject, detail)
}

// cutNumber reads one to three digits off the front of s.
func cutNumber(s string) (n int, rest string, ok bool) {
	i := 0
	for i < len(s) && i < 3 && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + int(s[i]-'0')
		i++
	}
	return n, s[i:], i > 0
}

// enhancedPattern is an enhanced status code of which parts may be wild.
type enhancedPattern struct{ class, subject, detail int }

// parseEnhancedPattern reads a code such as 5.1.1, with "x" for any class,
// subject or detail, or "none".
func parseEnhancedPattern(s string) (enhancedPattern, error) {
	if s == "none" {
		return enhancedPattern{}, nil
	}
	part := strings.Split(s, ".")
	var n [3]int
	bad := len(part) != 3
	for i := 0; i < 3 && !bad; i++ {
		if part[i] == "x" {
			n[i] = wild
			continue
		}
		v, rest, ok := cutNumber(part[i])
		n[i], bad = v, !ok || rest != ""
	}
	if bad || n[0] != wild && n[0] != 2 && n[0] != 4 && n[0] != 5 {
		return enhancedPattern{}, fmt.Errorf("want an enhanced code such as 5.1.1, 5.1.x, x.7.1 or none, not %q", s)
	}
	return enhancedPattern{n[0], n[1], n[2]}, nil
}

func (p enhancedPattern) matches(e enhancedCode) bool {
	if p == (enhancedPattern{}) || e == 0 {
		return p == (enhancedPattern{}) && e == 0
	}
	return (p.class == wild || p.class == e.class()) &&
		(p.subject == wild || p.subject == int(e>>10&1023)) &&
		(p.detail == wild || p.detail == int(e&1023))
}

// codeEntry is a row of one of the two code tables.
type codeEntry struct {
	key      string // "5.1.1" or "550"
	line     int
	category located
	reason   string
	about    string
	rfc      string
}

func enhancedKey(s string) error {
	e := parseEnhanced(s)
	if e == 0 || e.class() != 5 {
		return fmt.Errorf("want a code of class 5 such as 5.1.1 (class 4 follows from it), not %q", s)
	}
	return nil
}

func replyKey(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 400 || n > 599 {
		return fmt.Errorf("want a reply code from 400 to 599, not %q", s)
	}
	return nil
}

func (r *reader) codes(n *yaml.Node, kind string, check func(string) error) (all []codeEntry) {
	r.pairs(n, kind+"s: ", func(key, value *yaml.Node) {
		what := kind + " " + key.Value + ": "
		e := codeEntry{key: key.Value, line: key.Line}
		if err := check(key.Value); err != nil {
			r.fail(key.Line, "%s%v", what, err)
		}
		r.mapping(value, what,
			field{"category", func(n *yaml.Node) { e.category = located{r.text(n, what+"category: "), n.Line} }},
			field{"reason", func(n *yaml.Node) { e.reason = r.reason(n, what+"reason: ") }},
			field{"about", func(n *yaml.Node) { e.about = r.text(n, what+"about: ") }},
			field{"rfc", func(n *yaml.Node) { e.rfc = r.text(n, what+"rfc: ") }},
		)
		if value.Kind == yaml.MappingNode && e.category.text == "" {
			r.fail(key.Line, "%scategory is missing: say what a reply with only this code is", what)
		}
		all = append(all, e)
	})
	return all
}
