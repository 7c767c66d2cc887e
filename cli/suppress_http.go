package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"mtatap/suppress"
	"mtatap/suppress/local"
)

const (
	listRoute   = "/v1/suppressions"
	lookupRoute = "GET /v1/suppressions/{address}"
)

// lookup answers whether an address may be mailed: 200 with its record if not, 404
// if it may, 503 while that is not known.
type lookup struct {
	find    func(recipient string) (*suppress.Record, error)
	address func(string) string // as it is published
}

func (l lookup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found, err := l.find(l.address(r.PathValue("address")))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case err != nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // the reader has gone
	case found == nil:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintln(w, `{"suppressed":false}`)
	default:
		_, _ = w.Write(append(found.Encode(), '\n')) // the reader has gone
	}
}

// change is what the control socket takes to add a recipient.
type change struct {
	Reason string `json:"reason,omitempty"`
}

// controlMux offers all of l to who may open the control socket.
func controlMux(l *local.Local) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle(lookupRoute, lookup{l.Lookup, func(s string) string { return s }})
	mux.HandleFunc("GET "+listRoute, func(w http.ResponseWriter, _ *http.Request) {
		err := l.Each(func(r suppress.Record) error {
			_, err := w.Write(append(r.Encode(), '\n'))
			return err
		})
		if err != nil {
			panic(http.ErrAbortHandler) // who reads half a list must not take it for all
		}
	})
	apply := func(w http.ResponseWriter, r *http.Request, o suppress.Outcome) {
		o.Time = time.Now().UTC()
		if err := l.Change(r.Context(), r.PathValue("address"), o); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
	mux.HandleFunc("PUT /v1/suppressions/{address}", func(w http.ResponseWriter, r *http.Request) {
		var c change
		if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		apply(w, r, suppress.Outcome{Kind: suppress.Add, Reason: c.Reason})
	})
	mux.HandleFunc("DELETE /v1/suppressions/{address}", func(w http.ResponseWriter, r *http.Request) {
		apply(w, r, suppress.Outcome{Kind: suppress.Release})
	})
	return mux
}

// controlSocket is where a run that has the store open takes commands.
func controlSocket(store string) string { return store + ".sock" }

// maxSocketPath is how long the path of a socket may be (unix(7), sun_path).
const maxSocketPath = 107

// offerSuppressions adds look-ups to the listener and opens the control socket,
// beside the store and for the same user only.
func (s *service) offerSuppressions() error {
	address, err := addressOf(s.config)
	if err != nil {
		return err
	}
	s.web.mux.Handle(lookupRoute, lookup{s.local.Lookup, address})
	path := controlSocket(s.config.Suppress.Store)
	if len(path) > maxSocketPath {
		return fmt.Errorf("open control socket of suppressions %s: the path has %d bytes, a socket's at most %d; put suppress.store into a folder with a shorter path", path, len(path), maxSocketPath)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // of a killed process: the store is ours
		return fmt.Errorf("remove old control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return fmt.Errorf("open control socket of suppressions: %w", err)
	}
	s.control = &http.Server{Handler: controlMux(s.local), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.control.Serve(listener) }() // ends with close
	return nil
}
