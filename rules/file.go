package rules

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"mtatap/event"
)

// The bounds of a rules file: enough for any list written by people, and small
// enough that a wrong file can't exhaust memory.
const (
	maxFile     = 4 << 20 // bytes
	maxRules    = 20_000
	maxKeys     = 1000 // of one mapping: categories, providers, groups of words, codes
	maxPatterns = 300  // literals and expressions of one rule
	maxLiteral  = 200  // bytes
	maxRegex    = 1000 // bytes
	maxGroup    = 500  // alternatives of one group of words
	maxSteps    = 2000 // of one compiled expression: the time it takes for each byte of a reply
	// Of all patterns of a file.
	maxAllPatterns = 1 << 20 // bytes, alternatives multiplied out; each takes some 300 bytes of memory while loading
	maxAllSteps    = 200_000
	maxWork        = 1 << 28 // bytes times steps that the examples may take: some seconds
)

const (
	schemaVersion  = "1"
	extendsDefault = "default"
)

var kebab = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// file is what one rules file says, before it is joined with its base.
type file struct {
	version     string
	extends     bool
	disable     []located
	providers   []provider
	categories  []category
	conversions []located2
	suppression suppression
	enhanced    []codeEntry
	reply       []codeEntry
	words       words
	rules       []*rule
}

// located is a word and the line it is on.
type located struct {
	text string
	line int
}

// located2 is a conversion and the line it is on.
type located2 struct {
	Conversion
	line int
}

type provider struct {
	name    string
	line    int
	hosts   []string
	domains []string
}

type category struct {
	name   event.Category
	line   int
	kind   event.BounceType
	compat int
	action event.Action
	resend bool
}

// rule is one rule as the file has it.
type rule struct {
	id, file string
	line     int

	providers []located
	literals  []string // normalised
	phrases   []phrase
	regexps   []expression
	codes     []codeRange
	enhanced  []enhancedPattern
	statuses  uint16 // bit set of event.Status
	phases    uint16 // bit set of event.Phase

	category located
	reason   string
	resend   *bool

	examples        []example
	counterexamples []example

	broken bool // something is wrong with it
}

type expression struct {
	source   string
	compiled *regexp.Regexp
	steps    int
	required [][]string // sets of literals; none: run it always
}

type example struct {
	line     int
	text     string
	provider string
	status   event.Status
	phase    event.Phase
}

// file reads the document n; base is what it extends.
func (r *reader) file(n *yaml.Node, base *Set) *file {
	f := &file{}
	var schema, version bool
	var rules *yaml.Node
	r.mapping(n, "",
		field{"schema", func(n *yaml.Node) {
			schema = true
			if s := r.text(n, "schema: "); s != schemaVersion {
				r.fail(n.Line, "schema: this program reads schema %s, not %q", schemaVersion, s)
			}
		}},
		field{"version", func(n *yaml.Node) { version, f.version = true, r.text(n, "version: ") }},
		field{"extends", func(n *yaml.Node) {
			f.extends = true
			if s := r.text(n, "extends: "); s != extendsDefault {
				r.fail(n.Line, "extends: the only set to extend is %q, not %q", extendsDefault, s)
			}
		}},
		field{"disable", func(n *yaml.Node) {
			for _, item := range r.list(n, "disable: ") {
				f.disable = append(f.disable, located{item.Value, item.Line})
			}
		}},
		field{"providers", func(n *yaml.Node) { f.providers = r.providers(n) }},
		field{"categories", func(n *yaml.Node) { f.categories = r.categories(n) }},
		field{"conversion", func(n *yaml.Node) { f.conversions = r.conversions(n) }},
		field{"suppression", func(n *yaml.Node) { f.suppression = r.suppression(n) }},
		field{"enhanced_codes", func(n *yaml.Node) { f.enhanced = r.codes(n, "enhanced code", enhancedKey) }},
		field{"reply_codes", func(n *yaml.Node) { f.reply = r.codes(n, "reply code", replyKey) }},
		field{"words", func(n *yaml.Node) { f.words = r.words(n) }},
		field{"rules", func(n *yaml.Node) { rules = n }},
	)
	// The groups of words must be known before the phrases of the rules.
	if rules != nil {
		f.rules = r.rules(rules, f.allWords(base))
	}
	if !schema {
		r.fail(n.Line, "schema is missing: write schema: %s", schemaVersion)
	}
	if !version {
		r.fail(n.Line, "version is missing: name this version of your rules, such as version: \"1\"")
	}
	return f
}

// allWords returns the groups of base with those of f in place of or beside
// them.
func (f *file) allWords(base *Set) words {
	all := words{}
	if f.extends && base != nil {
		maps.Copy(all, base.words)
	}
	maps.Copy(all, f.words)
	return all
}

func (r *reader) words(n *yaml.Node) words {
	all := words{}
	r.pairs(n, "words: ", func(key, value *yaml.Node) {
		what := "words " + key.Value + ": "
		if !kebab.MatchString(key.Value) {
			r.fail(key.Line, "%schoose a name of lower-case words joined by \"-\"", what)
		}
		for _, item := range r.list(value, what) {
			all[key.Value] = append(all[key.Value], item.Value)
		}
		if n := len(all[key.Value]); n > maxGroup {
			r.fail(key.Line, "%s%d alternatives are too many: at most %d, split the group", what, n, maxGroup)
			all[key.Value] = all[key.Value][:maxGroup]
		}
	})
	return all
}

func (r *reader) providers(n *yaml.Node) (all []provider) {
	r.pairs(n, "providers: ", func(key, value *yaml.Node) {
		what := "provider " + key.Value + ": "
		p := provider{name: key.Value, line: key.Line}
		if !kebab.MatchString(p.name) || p.name == OtherProvider {
			r.fail(key.Line, "%schoose a name of lower-case words joined by \"-\", other than %q", what, OtherProvider)
		}
		r.mapping(value, what,
			field{"hosts", func(n *yaml.Node) { p.hosts = r.domains(n, what+"hosts: ") }},
			field{"domains", func(n *yaml.Node) { p.domains = r.domains(n, what+"domains: ") }},
		)
		all = append(all, p)
	})
	return all
}

func (r *reader) domains(n *yaml.Node, what string) (all []string) {
	for _, item := range r.list(n, what) {
		d := item.Value
		if d == "" || len(d) > 253 || d != strings.ToLower(d) || strings.Trim(d, ".") != d || strings.ContainsAny(d, " *@/") {
			r.fail(item.Line, "%swant a lower-case domain such as mail.example, not %q", what, d)
			continue
		}
		all = append(all, d)
	}
	return all
}

func (r *reader) categories(n *yaml.Node) (all []category) {
	r.pairs(n, "categories: ", func(key, value *yaml.Node) {
		what := "category " + key.Value + ": "
		c := category{name: event.Category(key.Value), line: key.Line, compat: -1}
		if !kebab.MatchString(key.Value) {
			r.fail(key.Line, "%schoose a name of lower-case words joined by \"-\"", what)
		}
		r.mapping(value, what,
			field{"type", func(n *yaml.Node) { c.kind = event.BounceType(r.choice(n, what+"type: ", bounceTypes)) }},
			field{"compat", func(n *yaml.Node) { c.compat = r.number(n, what+"compat: ", 1, 9999) }},
			field{"action", func(n *yaml.Node) { c.action = event.Action(r.choice(n, what+"action: ", actions)) }},
			field{"resend", func(n *yaml.Node) { c.resend = r.boolean(n, what+"resend: ") }},
		)
		if value.Kind == yaml.MappingNode && (c.kind == "" || c.compat < 0 || c.action == "") {
			r.fail(key.Line, "%stype, compat and action are needed", what)
		}
		all = append(all, c)
	})
	return all
}

var (
	bounceTypes = []string{string(event.Hard), string(event.Soft), string(event.None)}
	actions     = []string{string(event.Suppress), string(event.Watch), string(event.FixMessage),
		string(event.FixSending), string(event.Retry), string(event.Ignore), string(event.NoAction)}
)

func (r *reader) choice(n *yaml.Node, what string, known []string) string {
	s := r.text(n, what)
	if s != "" && !slices.Contains(known, s) {
		r.fail(n.Line, "%sunknown value %s", what, oneOf(s, known))
	}
	return s
}

func (r *reader) number(n *yaml.Node, what string, low, high int) int {
	i, err := strconv.Atoi(r.text(n, what))
	if err != nil || i < low || i > high {
		r.fail(n.Line, "%swant a whole number from %d to %d", what, low, high)
		return low
	}
	return i
}

// Conversion says when repeated soft verdicts on one recipient become hard.
type Conversion struct {
	From     event.Category // the soft category
	To       event.Category // of type hard
	Messages int            // different messages, at least
	Spread   time.Duration  // between the first and the last of them, at least
	Window   time.Duration  // only what is not older counts
}

func (r *reader) conversions(n *yaml.Node) (all []located2) {
	r.pairs(n, "conversion: ", func(key, value *yaml.Node) {
		what := "conversion of " + key.Value + ": "
		c := located2{Conversion{From: event.Category(key.Value)}, key.Line}
		r.mapping(value, what,
			field{"to", func(n *yaml.Node) { c.To = event.Category(r.text(n, what+"to: ")) }},
			field{"messages", func(n *yaml.Node) { c.Messages = r.number(n, what+"messages: ", 1, MaxConversionMessages) }},
			field{"spread", func(n *yaml.Node) { c.Spread = r.duration(n, what+"spread: ") }},
			field{"window", func(n *yaml.Node) { c.Window = r.duration(n, what+"window: ") }},
		)
		if value.Kind == yaml.MappingNode && (c.To == "" || c.Messages == 0 || c.Window == 0) {
			r.fail(key.Line, "%sto, messages and window are needed", what)
		} else if c.Spread > c.Window {
			r.fail(key.Line, "%sspread is longer than window: nothing could ever convert", what)
		}
		all = append(all, c)
	})
	return all
}

// duration reads a Go duration or a number of days such as 30d.
func (r *reader) duration(n *yaml.Node, what string) time.Duration {
	s := r.text(n, what)
	var d time.Duration
	var err error
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var i int
		i, err = strconv.Atoi(days)
		d = time.Duration(min(i, 36500)) * 24 * time.Hour
	} else {
		d, err = time.ParseDuration(s)
	}
	if err != nil || d < 0 {
		r.fail(n.Line, "%swant a duration such as 72h or 30d, not %q", what, s)
		return 0
	}
	return d
}

func compileRegexp(source string) (e expression, err error) {
	parsed, err := syntax.Parse(source, syntax.Perl|syntax.FoldCase)
	if err != nil {
		return expression{}, err
	}
	simple := parsed.Simplify()
	program, err := syntax.Compile(simple)
	if err != nil {
		return expression{}, err
	}
	steps := len(program.Inst)
	if steps > maxSteps {
		return expression{}, fmt.Errorf("it takes %d steps: at most %d, repeat less", steps, maxSteps)
	}
	if why := impossible(parsed); why != "" {
		return expression{}, errors.New(why)
	}
	compiled, err := regexp.Compile("(?i)" + source)
	if err != nil {
		return expression{}, err
	}
	return expression{source, compiled, steps, worthwhile(required(simple))}, nil
}
