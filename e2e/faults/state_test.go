//go:build e2e

package faults

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

var stateScenarios = []scenario{
	{"the checkpoint is cut in half", damaged(func(r *rig, checkpoint []byte) []byte { return checkpoint[:len(checkpoint)/2] })},
	{"the checkpoint is deleted", damaged(func(*rig, []byte) []byte { return nil })},
	{"the checkpoint is of a newer version", damaged(func(r *rig, checkpoint []byte) []byte {
		var c map[string]any
		if err := json.Unmarshal(checkpoint, &c); err != nil {
			r.t.Fatal(err)
		}
		c["version"] = 99
		newer, err := json.Marshal(c)
		if err != nil {
			r.t.Fatal(err)
		}
		return newer
	})},
	{"the disk of the state is full for a while", stateDiskFull},
}

// damaged kills mtatap and changes its checkpoint; nil removes it.
func damaged(change func(r *rig, checkpoint []byte) []byte) func(r *rig) {
	return func(r *rig) {
		r.begin()
		r.await(10*time.Second, "a place is saved", func() bool { return saves(r.checkpoint()) > 0 })
		r.kill()
		text, err := os.ReadFile(r.checkpoint())
		if err != nil {
			r.t.Fatal(err)
		}
		if text = change(r, text); text == nil {
			remove(r.t, r.checkpoint())
		} else if err := os.WriteFile(r.checkpoint(), text, 0o600); err != nil {
			r.t.Fatal(err)
		}
		r.write()
		r.start()
		if text != nil {
			r.awaitLog(5*time.Second, "level=ERROR", "checkpoint cannot be read", "from the beginning")
		}
		r.log.rotate()
		r.awaitFlow()
		r.settle()
	}
}

// stateDiskFull gives the state a small disk of its own and fills it.
func stateDiskFull(r *rig) {
	state := filepath.Join(r.dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := syscall.Mount("mtatap-faults", state, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		r.t.Skipf("needs the right to mount a small disk: %v", err)
	}
	r.t.Cleanup(func() {
		r.kill()
		if err := syscall.Unmount(state, syscall.MNT_DETACH); err != nil {
			r.t.Errorf("unmount: %v", err)
		}
	})
	r.begin()
	ballast := filepath.Join(state, "ballast")
	fill(r, ballast)
	r.await(10*time.Second, "the failure is counted", func() bool { return r.metric("mtatap_checkpoint_errors_total") > 0 })
	r.awaitLog(time.Second, "level=ERROR", "checkpoint not saved", "no space left on device")
	before := r.metric("mtatap_checkpoint_timestamp_seconds")
	for range 3 {
		r.log.rotate()
		r.awaitFlow() // delivery goes on
	}
	if now := r.metric("mtatap_checkpoint_timestamp_seconds"); now != before {
		r.t.Error("a checkpoint was saved on a full disk")
	}
	r.kill() // and nothing is lost where it ends there
	r.start()
	r.awaitFlow()
	remove(r.t, ballast)
	r.await(10*time.Second, "checkpoints are saved again", func() bool { return r.metric("mtatap_checkpoint_timestamp_seconds") > before })
	r.settle()
}

// fill writes path until the disk is full.
func fill(r *rig, path string) {
	r.t.Helper()
	f, err := os.Create(path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		r.t.Fatalf("fill the disk: %v", err)
	}
}
