package cli

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"mtatap/suppress"
)

const (
	formatCSV     = "csv"
	formatJSON    = "json"
	formatPostfix = "postfix-access"
	formatExim    = "exim-lsearch"
)

func newSuppressExport(s *suppressor) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the list for other programs: csv, json, postfix-access, exim-lsearch",
		Long: `Write the list for other programs. Addresses that a format cannot hold without
meaning something else there are left out and counted on standard error.`,
		Example: `  mtatap suppress export --config.file /etc/mtatap/mtatap.yaml --format postfix-access > /etc/postfix/suppressed
  postmap /etc/postfix/suppressed`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("format", format, formatCSV, formatJSON, formatPostfix, formatExim); err != nil {
				return err
			}
			cfg, err := s.load()
			if err != nil {
				return err
			}
			if cfg.Privacy.Addresses == "hmac" && (format == formatPostfix || format == formatExim) {
				return errors.New("the list holds hashes (privacy.addresses: hmac), which a mail server cannot compare with addresses")
			}
			out := newExport(s.env.Stdout, format)
			err = s.each(cmd.Context(), "", out.write)
			if err := errors.Join(err, out.flush()); err != nil {
				return err
			}
			if out.skipped > 0 {
				fmt.Fprintf(s.env.Stderr, "mtatap: %d addresses are left out: %s cannot hold them safely\n", out.skipped, format)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", formatCSV, "csv, json, postfix-access, exim-lsearch")
	return cmd
}

// export writes records in one of the formats.
type export struct {
	format  string
	w       *bufio.Writer
	csv     *csv.Writer
	skipped int
}

func newExport(w io.Writer, format string) *export {
	e := &export{format: format, w: bufio.NewWriter(w)}
	if format == formatCSV {
		e.csv = csv.NewWriter(e.w)
		_ = e.csv.Write([]string{"recipient", "category", "converted_from", "reason", "cause", "since", "expires"}) // told by flush
	}
	return e
}

func (e *export) write(r suppress.Record) error {
	switch e.format {
	case formatJSON:
		_, err := e.w.Write(append(r.Encode(), '\n'))
		return err
	case formatCSV:
		if !safeCell(r.Recipient) {
			e.skipped++
			return nil
		}
		reason := r.Reason
		if !safeCell(reason) {
			reason = ""
		}
		return e.csv.Write([]string{r.Recipient, string(r.Category), string(r.ConvertedFrom), reason, string(r.Cause), stampText(r.Since), stampText(r.Expires)})
	}
	if !plainAddress(r.Recipient) {
		e.skipped++
		return nil
	}
	why := slug(r.Reason, string(r.Cause))
	if e.format == formatPostfix {
		// access(5): the address, then what to answer.
		_, err := fmt.Fprintf(e.w, "%s REJECT 5.1.1 suppressed: %s since %s\n", r.Recipient, why, r.Since.UTC().Format(time.DateOnly))
		return err
	}
	// lsearch: the address, a colon, and what a look-up gives.
	_, err := fmt.Fprintf(e.w, "%s: suppressed %s since %s\n", r.Recipient, why, r.Since.UTC().Format(time.DateOnly))
	return err
}

func (e *export) flush() error {
	if e.csv != nil {
		e.csv.Flush()
		if err := e.csv.Error(); err != nil {
			return err
		}
	}
	return e.w.Flush()
}

func stampText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// safeCell reports whether no spreadsheet takes s for a formula, and no terminal
// obeys it.
func safeCell(s string) bool {
	return s == "" || !strings.ContainsRune("=+-@", rune(s[0])) && !strings.ContainsFunc(s, unicode.IsControl)
}

// plainAddress reports whether address is a dot-atom at a domain (RFC 5321 section
// 4.1.2, RFC 6531) that is one word, no comment and no pattern in a table of Postfix
// or Exim. A star is none, although atoms may have one: tables may search for it.
func plainAddress(address string) bool {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" || domain == "" || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") || len(address) > 500 {
		return false
	}
	plain := func(s, more string) bool {
		return !strings.ContainsFunc(s, func(r rune) bool {
			switch {
			case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
				return false
			case r < 0x80:
				return !strings.ContainsRune(more, r)
			}
			return r == unicode.ReplacementChar || !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r)
		})
	}
	return plain(local, ".!$%&'+-/=?^_{|}~`") && !strings.ContainsRune("!-/'&$%", rune(local[0])) && plain(domain, ".-_")
}

// slug returns s if it is a word of the rules, else another.
func slug(s, other string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }) {
		return other
	}
	return s
}
