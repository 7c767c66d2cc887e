package tailers

import "testing"

func TestTheBeginningOfAPositionIsThatOfItsOpenFiles(t *testing.T) {
	read := record{Seq: 3, Dev: 1, Inode: 2, Offset: 100, Lead: fingerprint{Length: 10}, Marker: fingerprint{Length: 5}}
	done := record{Seq: 2, Dev: 1, Inode: 1, Offset: 50}
	b := Position{positionData{Open: []record{read}, Done: []record{done}, Next: 4}}.Beginning()
	if from := b.p.silentFrom(read); from == nil || *from != (record{Seq: 3, Dev: 1, Inode: 2}) {
		t.Errorf("the open file is read again from %+v", from)
	}
	if from := b.p.silentFrom(done); from != nil {
		t.Errorf("the finished file is read again from %+v", from)
	}
	for name, p := range map[string]Position{
		"no position":      {},
		"nothing open":     {positionData{Next: 4}},
		"one of a journal": {positionData{Next: 1, Cursor: "s=1"}},
	} {
		if b := p.Beginning(); !b.IsZero() {
			t.Errorf("%s begins at %+v", name, b)
		}
	}
}
