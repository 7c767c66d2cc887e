// Package e2e tests the built binary against real mail servers, a real Kafka
// and a real Prometheus, all on loopback. Everything in it has the build tag
// e2e and needs what .ci/install installs:
//
//	.ci/install && go test -tags e2e ./e2e/...
package e2e
