package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"mtatap/suppress"
)

// entry is what the state topic and the store hold of one recipient.
type entry struct {
	Offset  int64          `json:"offset"`  // of the last event that was applied, -1: none
	Command int64          `json:"command"` // of the last command that was applied, -1: none
	State   suppress.State `json:"state"`
}

func (e *entry) encode() ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	return text, nil
}

// decodeEntry reads an entry of the store; it is new where there is none.
func decodeEntry(value []byte) (*entry, error) {
	e := &entry{Offset: -1, Command: -1}
	if value == nil {
		return e, nil
	}
	if err := json.Unmarshal(value, e); err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	return e, nil
}

// applied returns the offsets of the last event and command in an encoded entry. All
// of it is read only where it does not begin with them as ours do: a million are
// looked at when a partition is restored.
func applied(value []byte) (offset, command int64, err error) {
	offset, rest, ok := leading(value, `{"offset":`)
	command, rest, ok2 := leading(rest, `,"command":`)
	if ok && ok2 && bytes.HasPrefix(rest, []byte(`,"state":{`)) && bytes.HasSuffix(rest, []byte(`}}`)) {
		return offset, command, nil
	}
	e, err := decodeEntry(value)
	if err != nil {
		return 0, 0, err
	}
	return e.Offset, e.Command, nil
}

// leading returns the number behind name at the head of text.
func leading(text []byte, name string) (n int64, rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(text, []byte(name))
	end := bytes.IndexByte(rest, ',')
	if !ok || end < 0 {
		return 0, nil, false
	}
	n, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	return n, rest[end:], err == nil
}
