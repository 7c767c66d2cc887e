// Package port finds ports for servers that a test starts as other processes. It
// must never hand out one that the system may give to an outgoing connection: a
// port asked for with ":0" is such a one, and is taken by the time a server that
// was killed comes back to it.
package port

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
)

const lowest = 10000

// Reserve returns a port of host where nothing listens, below the range of
// outgoing connections. Nobody else who asks this package, in any process, gets
// the port until release is called: its UDP twin is held that long.
func Reserve(host netip.Addr) (addr netip.AddrPort, release func(), err error) {
	for range 200 {
		addr = netip.AddrPortFrom(host, uint16(lowest+rand.IntN(outgoing()-lowest)))
		twin, failed := net.ListenPacket("udp", addr.String())
		if failed != nil {
			err = failed
			continue
		}
		l, failed := net.Listen("tcp", addr.String())
		if failed != nil {
			err = failed
			twin.Close()
			continue
		}
		l.Close()
		return addr, func() { twin.Close() }, nil
	}
	return netip.AddrPort{}, nil, fmt.Errorf("find free port of %s: %w", host, err)
}

// outgoing is the lowest port that the system takes for outgoing connections.
func outgoing() int {
	low := 32768
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		fmt.Sscan(string(b), &low)
	}
	return max(low, lowest+1000)
}
