// Package tailers turns logs into chunks of whole lines: live, through
// every kind of rotation, across restarts, or once from beginning to end.
//
// A Follower reads one path and all generations of the file that appear there.
// A Replay reads one finished file, compressed or not. A Journal reads the journal
// of systemd, as lines of JSON. All cut at newlines only and leave the lines to the
// caller, so the cost of a line of no interest is that of finding its newline. A Store keeps where each file's reading
// stands, and what its parser remembered, in a folder.
//
// A generation is one file as its writer saw it, from its first byte to its
// last. It may be renamed, copied, compressed or unlinked and stays the same
// generation. It is recognised by three things together: device and inode, a
// hash over its first lines (the lead), and a hash over the last lines read
// (the marker).
//
// Known limitations. What a writer adds between the copy and the cut of
// copytruncate is lost to every reader. Rotated files are looked for in the
// folders of the path and of what it links to, not in an "olddir"; those packed
// with other than gzip or zstd are not read. A generation that was made,
// rotated and deleted while nobody looked leaves no trace. Two files that are
// the same up to their end are one generation, and so have the same event ids.
// Lines written to a rotated file later than RotateWait are read when the next
// change in the folder makes the Follower look, if the file is one of the last
// sixteen and not compressed by then. A compressor that does not keep the time of a
// file older than the last sixteen makes it look new: its lines come again,
// with the same ids.
//
// The package never parses a line, publishes nothing and keeps no state of its
// own between runs beyond what the caller saves in the Store.
package tailers
