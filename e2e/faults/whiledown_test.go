//go:build e2e

package faults

import (
	"time"
)

var whileDownScenarios = []scenario{
	{"lines are appended while mtatap is down", whileDown(func(r *rig) {})},
	{"the log is renamed once while mtatap is down", whileDown(func(r *rig) {
		r.log.rotate()
	})},
	{"the log is renamed twice while mtatap is down", whileDown(func(r *rig) {
		r.log.rotate()
		r.write()
		r.log.rotate()
	})},
	{"the log is renamed and gzipped while mtatap is down", whileDown(func(r *rig) {
		r.log.rotate()
		r.log.compress(1)
		r.write()
		r.log.rotate()
		r.log.compress(1)
	})},
	{"the log is rotated with delaycompress while mtatap is down", whileDown(func(r *rig) {
		r.log.rotate()
		r.write()
		r.log.rotate()
		r.log.compress(2)
		r.write()
		r.log.rotate()
		r.log.compress(2)
	})},
	{"the log is rotated to dated names while mtatap is down", whileDown(func(r *rig) {
		for _, date := range []string{"-20261121", "-20261122", "-20261123"} {
			r.log.move(r.source, r.source+date)
			r.log.reopen()
			if date != "-20261123" {
				if err := gzipFile(r.source + date); err != nil {
					r.t.Fatal(err)
				}
			}
			r.write()
		}
	})},
	{"the log is copied and cut while mtatap is down", whileDown(func(r *rig) {
		r.log.held(r.copytruncate)
	})},
	{"a new log gets the inode of the old one while mtatap is down", whileDown(func(r *rig) {
		r.log.rotate()
		r.log.renameOnto(r.log.compressAndReuse(1))
	})},
}

// whileDown kills mtatap in the middle of its work, does something with the log
// that goes on, and starts it again.
func whileDown(do func(r *rig)) func(r *rig) {
	return func(r *rig) {
		r.begin()
		r.kill()
		r.write()
		do(r)
		r.write()
		r.start()
		r.awaitFlow()
		r.settle()
	}
}

// write lets the writer write for a while.
func (r *rig) write() { time.Sleep(400 * time.Millisecond) }
