package port

import (
	"net"
	"net/netip"
	"testing"
)

func TestAPortIsNobodyElsesUntilReleased(t *testing.T) {
	host := netip.MustParseAddr("127.0.0.1")
	seen := map[netip.AddrPort]bool{}
	for range 300 {
		addr, release, err := Reserve(host)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if seen[addr] {
			t.Fatalf("%s was handed out twice", addr)
		}
		seen[addr] = true
		if int(addr.Port()) >= outgoing() {
			t.Errorf("%s may be given to an outgoing connection", addr)
		}
	}
	for addr := range seen {
		l, err := net.Listen("tcp", addr.String())
		if err != nil {
			t.Fatalf("a server cannot listen at the port reserved for it: %v", err)
		}
		l.Close()
	}
}
