//go:build e2e

package faults

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"mtatap/e2e/lab"
)

// receiver is a webhook that keeps what it takes.
type receiver struct {
	url string

	mu     sync.Mutex
	broken bool
	bodies []string
}

func newReceiver(t *testing.T) *receiver {
	h := &receiver{}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// break503 lets it refuse everything for now, or take it again.
func (h *receiver) break503(broken bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = broken
}

func (h *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken || err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h.bodies = append(h.bodies, string(body))
}

// records returns what has been taken.
func (h *receiver) records(t *testing.T) []lab.KafkaRecord {
	h.mu.Lock()
	defer h.mu.Unlock()
	return recordsOf(t, strings.Join(h.bodies, ""))
}

// recordsOf returns the events of NDJSON as records of one partition.
func recordsOf(t *testing.T, text string) []lab.KafkaRecord {
	t.Helper()
	var records []lab.KafkaRecord
	for line := range strings.Lines(text) {
		var e struct {
			ID        string `json:"id"`
			Recipient string `json:"recipient"`
		}
		line = strings.TrimSuffix(line, "\n")
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("read events: %v", err)
		}
		records = append(records, lab.KafkaRecord{Key: strings.ToLower(e.Recipient), Value: line, Headers: map[string]string{"ce_id": e.ID}})
	}
	return records
}
