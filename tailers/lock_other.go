//go:build !unix

package tailers

import "os"

// lockFile cannot lock here: running one process is up to the operator.
func lockFile(*os.File) error { return nil }

// syncFolder has nothing to do here: folders cannot be synced.
func syncFolder(string) error { return nil }
