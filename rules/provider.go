package rules

import "strings"

// OtherProvider is the group of what belongs to no other.
const OtherProvider = "other"

// providerTable finds provider groups by host and by domain.
type providerTable struct {
	names    []string
	numbers  map[string]int
	byHost   map[string]string
	byDomain map[string]string
}

func newProviderTable(groups []provider) providerTable {
	t := providerTable{
		numbers:  make(map[string]int, len(groups)),
		byHost:   make(map[string]string),
		byDomain: make(map[string]string),
	}
	for i, g := range groups {
		t.names = append(t.names, g.name)
		t.numbers[g.name] = i
		for _, h := range g.hosts {
			t.byHost[h] = g.name
		}
		for _, d := range g.domains {
			t.byDomain[d] = g.name
		}
	}
	return t
}

// number returns the number of a group, -1 for an unknown name.
func (t *providerTable) number(name string) int {
	if n, ok := t.numbers[name]; ok {
		return n
	}
	return -1
}

// Provider returns the provider group that runs relayHost, or else the one that
// recipientDomain belongs to, OtherProvider if neither is known. A group's host
// or domain covers the names below it. It does not allocate.
func (s *Set) Provider(relayHost, recipientDomain string) string {
	if name := lookup(s.providers.byHost, relayHost); name != "" {
		return name
	}
	if name := lookup(s.providers.byDomain, recipientDomain); name != "" {
		return name
	}
	return OtherProvider
}

// lookup returns the entry of the longest listed suffix of host, cut at dots.
func lookup(groups map[string]string, host string) string {
	host = strings.TrimSuffix(host, ".")
	var buf [253]byte
	if len(host) > len(buf) {
		return ""
	}
	for i := range len(host) {
		buf[i] = asciiFold[host[i]]
	}
	for rest := buf[:len(host)]; len(rest) > 0; {
		if name, ok := groups[string(rest)]; ok {
			return name
		}
		dot := 0
		for dot < len(rest) && rest[dot] != '.' {
			dot++
		}
		rest = rest[min(dot+1, len(rest)):]
	}
	return ""
}

// Providers returns the names of the provider groups in the order of the file.
func (s *Set) Providers() []string { return append([]string(nil), s.providers.names...) }
