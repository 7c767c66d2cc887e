// Package config reads mtatap.yaml: its schema, defaults and validation.
//
// Loading is strict and complete: every mistake is reported at once with file
// and line. The package opens only the files that the configuration names, to
// check that they are there; it must never start, connect or log anything.
package config
