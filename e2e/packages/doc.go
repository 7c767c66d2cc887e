// Package packages builds the deb and the rpm and treats them as an operator's host
// would: installed, used, upgraded, removed and purged. It must never leave a file or
// a user behind, and never touch a host on which mtatap is installed already. It has
// the build tag e2e, needs what .ci/install installs, and root, or sudo that asks for
// no password, for what changes the host:
//
//	.ci/install && go test -tags e2e ./e2e/packages
package packages
