package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	runtimepprof "runtime/pprof"

	"github.com/spf13/pflag"
)

// profiling is where a command writes profiles of itself, for `go tool pprof`.
type profiling struct {
	cpu    string
	memory string
}

func (p *profiling) register(f *pflag.FlagSet) {
	f.StringVar(&p.cpu, "cpuprofile", "", "write where the time goes to this file, for go tool pprof")
	f.StringVar(&p.memory, "memprofile", "", "write where memory is allocated to this file, at the end")
}

// around runs f and writes the profiles asked for, also where f fails.
func (p *profiling) around(f func() error) (err error) {
	if p.cpu != "" {
		file, err := os.Create(p.cpu)
		if err != nil {
			return fmt.Errorf("write CPU profile: %w", err)
		}
		defer file.Close()
		if err := runtimepprof.StartCPUProfile(file); err != nil {
			return fmt.Errorf("write CPU profile: %w", err)
		}
		defer runtimepprof.StopCPUProfile()
	}
	if p.memory != "" {
		file, createErr := os.Create(p.memory) // before the work: a wrong path is told at once
		if createErr != nil {
			return fmt.Errorf("write memory profile: %w", createErr)
		}
		defer func() {
			runtime.GC() // the profile is that of the last collection
			if writeErr := errors.Join(runtimepprof.Lookup("allocs").WriteTo(file, 0), file.Close()); writeErr != nil {
				err = errors.Join(err, fmt.Errorf("write memory profile: %w", writeErr))
			}
		}()
	}
	return f()
}

// servePprof adds the pages of net/http/pprof, which extend the server's deadline
// for an answer by the time that they were asked to measure.
func servePprof(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
