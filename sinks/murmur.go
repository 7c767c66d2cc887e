package sinks

// murmur2 is the 32-bit Murmur2 hash with the seed that the Java client of
// Kafka uses to choose a partition.
func murmur2(key string) uint32 {
	const (
		seed = 0x9747b28c
		mul  = 0x5bd1e995
	)
	h := seed ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= mul
		k ^= k >> 24
		k *= mul
		h = h*mul ^ k
	}
	switch len(key) {
	case 3:
		h ^= uint32(key[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(key[0])
		h *= mul
	}
	h ^= h >> 13
	h *= mul
	return h ^ h>>15
}

// partitionOf returns the partition of key among n, as the Java client does.
func partitionOf(key string, n int) int { return int(murmur2(key)&0x7fffffff) % n }
