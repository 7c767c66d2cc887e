package config

import (
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// value is a node of the file, with its place for errors.
type value struct {
	node *yaml.Node
	pos  *yaml.Node // the key where there is one, else the node
	path string
}

// entries gives the values of a mapping in file order.
func (v value) entries() []value {
	if v.node.Kind != yaml.MappingNode {
		return nil
	}
	entries := make([]value, 0, len(v.node.Content)/2)
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		path := clip(strings.Trim(strconv.Quote(key.Value), `"`))
		if v.path != "" {
			path = v.path + "." + path
		}
		entries = append(entries, value{node: v.node.Content[i+1], pos: key, path: path})
	}
	return entries
}

// find gives the value of a key. Of repeated keys the first counts.
func (v value) find(name string) (value, bool) {
	for _, entry := range v.entries() {
		if entry.pos.Value == name {
			return entry, true
		}
	}
	return v, false
}

// at gives the value of a key, or v itself where the key is left out, so that
// an error about it has a place.
func (v value) at(name string) value {
	found, _ := v.find(name)
	return found
}

// len is the number of items of a list.
func (v value) len() int {
	if v.node.Kind != yaml.SequenceNode {
		return 0
	}
	return len(v.node.Content)
}

// item gives the i-th item of a list.
func (v value) item(i int) value {
	node := v.node.Content[i]
	return value{node: node, pos: node, path: fmt.Sprintf("%s[%d]", v.path, i)}
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// describe names the type of a node to the reader of an error.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!bool":
		return "the switch " + n.Value
	}
	return quote(n.Value)
}

// quote shows s in an error, on one line and not too long.
func quote(s string) string { return strconv.Quote(clip(s)) }

// clip cuts s to what an error can show.
func clip(s string) string {
	const most = 160
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// orList writes "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// suggest says which of words was meant by word, or lists them.
func suggest(word string, words []string) string {
	if best := closest(word, words); best != "" {
		return "did you mean " + best + "?"
	}
	return "allowed are " + strings.Join(words, ", ")
}

// closest gives the one of words that word is a slip or two of, or "".
func closest(word string, words []string) string {
	best, least := "", 3
	for _, w := range words {
		if n := distance(word, w); n < least && 2*n <= min(len(word), len(w)) {
			best, least = w, n
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to make b of a; words of very different length are just far.
func distance(a, b string) int {
	if len(a) > len(b)+3 || len(b) > len(a)+3 {
		return max(len(a), len(b))
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			n := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				n = min(n, rows[i-2][j-2]+1)
			}
			rows[i][j] = n
		}
	}
	return rows[len(a)][len(b)]
}
