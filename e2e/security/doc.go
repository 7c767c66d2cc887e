// Package security tests the systemd unit: how exposed it leaves mtatap, and that
// the built binary does its work under the restrictions of the unit, which are
// applied without systemd. It must never leave a user, a mount or a file behind.
// It has the build tag e2e, needs what .ci/install installs, and root for what
// changes users and mounts:
//
//	.ci/install && go test -tags e2e ./e2e/security
package security
