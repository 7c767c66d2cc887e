//go:build race

package pipeline

// raceDetector says that sync.Pool forgets at random, so that allocations can't
// be counted.
const raceDetector = true
