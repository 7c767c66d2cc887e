// Package e2e tests the built binary against real mail servers, a real Kafka
// and a real Prometheus, all on loopback. Everything in it has the build tag
// e2e and needs what .ci/install installs:
//
//	.ci/install && go test -tags e2e ./e2e/...
//
// It must never resolve a name, leave loopback, or end what it did not start, and
// it knows of mtatap what an operator knows: command, configuration, output.
package e2e
