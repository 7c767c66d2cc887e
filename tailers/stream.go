package tailers

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compression is how the content of a file is packed, by its first bytes.
type compression uint8

const (
	plain compression = iota
	gzipped
	zstandard
)

const magicSize = 4

func compressionOf(first []byte) compression {
	switch {
	case bytes.HasPrefix(first, []byte{0x1f, 0x8b, 8}):
		return gzipped
	case bytes.HasPrefix(first, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstandard
	}
	return plain
}

// maxWindow is what zstd's own tool decodes without being asked to.
const maxWindow = 128 << 20

// decompressed returns a reader of what r holds and how it is packed. Close
// frees the decoder and leaves r open.
func decompressed(r io.Reader) (io.ReadCloser, compression, error) {
	var magic [magicSize]byte
	n, err := io.ReadFull(r, magic[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, plain, err
	}
	whole := io.MultiReader(bytes.NewReader(magic[:n]), r)
	switch kind := compressionOf(magic[:n]); kind {
	case gzipped:
		z, err := gzip.NewReader(whole)
		if err != nil {
			return nil, kind, fmt.Errorf("decompress gzip: %w", err)
		}
		return z, kind, nil
	case zstandard:
		z, err := zstd.NewReader(whole, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, kind, fmt.Errorf("decompress zstd: %w", err)
		}
		return z.IOReadCloser(), kind, nil
	default:
		return io.NopCloser(whole), plain, nil
	}
}
