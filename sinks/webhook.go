package sinks

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mtatap/config"
	"mtatap/event"
)

const (
	webhookTimeout = 10 * time.Second
	maxRetryAfter  = 10 * time.Minute // a longer wish of the server is cut
	replyExcerpt   = 200
	replyBytes     = 4 << 10 // are read for the excerpt
)

// Webhook posts events as NDJSON (application/x-ndjson), at most 1,000 events or
// 1,000,000 bytes a request, one request at a time, so in order. Any 2xx answer
// acknowledges the whole request.
//
// With a secret file, X-Mtatap-Signature is "sha256=" and the HMAC-SHA256 of the
// body in hex; the file is read for each request.
//
// Everything that may pass is retried: no answer, 408, 425, 429 and 5xx, after
// Retry-After if the answer has one; and what only an operator can mend and does
// not depend on the events: 401, 404, 405, 407 and redirects, which are not
// followed. Any other 4xx refuses the content: the request is split down to
// single events, and one that is refused alone goes to the dead letters.
type Webhook struct {
	cfg     config.Webhook
	deps    Deps
	client  http.Client
	trouble *trouble
	secrets *strings.Replacer // hides what the URL may hold
	body    []byte
}

// NewWebhook returns the sink of cfg. It does not connect; it fails only where
// the settings or the TLS files are unusable.
func NewWebhook(cfg config.Webhook, deps Deps) (*Webhook, error) {
	if deps.DeadLetters == nil {
		return nil, errNoDeadLetters
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("webhook url must be an http or https address")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = webhookTimeout
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.TLS != nil {
		if transport.TLSClientConfig, err = newTLS(*cfg.TLS); err != nil {
			return nil, err
		}
	}
	return &Webhook{
		cfg:  cfg,
		deps: deps,
		client: http.Client{
			Transport:     transport,
			Timeout:       cfg.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		trouble: newTrouble(deps),
		secrets: hideURL(u),
	}, nil
}

// Open asks for the headers of the URL (HEAD) until the server answers, whatever
// it says.
func (w *Webhook) Open(ctx context.Context) error {
	var wait backoff
	for {
		err := w.ask(ctx)
		if err == nil {
			w.trouble.mended()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.trouble.failed(err, webhookHint(err))
		if err := wait.sleep(ctx); err != nil {
			return err
		}
	}
}

func (w *Webhook) ask(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, w.cfg.URL, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	res, err := w.do(req)
	if err != nil {
		return fmt.Errorf("ask server: %w", err)
	}
	return res.Body.Close()
}

// do sends req. The client's own errors name the URL, which may hold a secret.
func (w *Webhook) do(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", "mtatap")
	res, err := w.client.Do(req)
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return res, err
}

// Write posts events and returns when the server has accepted all of them.
func (w *Webhook) Write(ctx context.Context, events []*event.Event) error {
	var wait backoff
	limit := maxRequestEvents
	for len(events) > 0 {
		n := fitBody(events, limit)
		w.body = appendLines(w.body[:0], events[:n])
		err := w.post(ctx)
		if err == nil {
			events = events[n:]
			limit = min(2*limit, maxRequestEvents)
			wait = backoff{}
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.trouble.failed(err, webhookHint(err))
		var status *statusError
		errors.As(err, &status)
		switch {
		case status != nil && status.refused() && n > 1:
			limit = n / 2
		case status != nil && status.refused():
			if err := w.deps.bury(ctx, w.trouble, w.deps.letter(status.cause(), err, events[0])); err != nil {
				return err
			}
			events = events[1:]
		default:
			pause := wait.next()
			if status != nil {
				pause = max(pause, status.retryAfter)
			}
			if err := sleep(ctx, pause); err != nil {
				return err
			}
		}
	}
	w.trouble.mended()
	return nil
}

// Close closes idle connections.
func (w *Webhook) Close() error {
	w.client.CloseIdleConnections()
	return nil
}

// post makes one attempt to deliver the body.
func (w *Webhook) post(ctx context.Context) error {
	// The copy is the client's own: it may still read from it after an early answer.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.cfg.URL, bytes.NewReader(bytes.Clone(w.body)))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if w.cfg.SecretFile != "" {
		secret, err := readSecret(w.cfg.SecretFile)
		if err != nil {
			return err
		}
		req.Header.Set("X-Mtatap-Signature", signature(secret, w.body))
	}
	res, err := w.do(req)
	if err != nil {
		return fmt.Errorf("post events: %w", err)
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, replyBytes))
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection is used again
		return nil
	}
	return &statusError{
		code:       res.StatusCode,
		text:       w.excerpt(said),
		retryAfter: retryAfter(res.Header.Get("Retry-After"), time.Now()),
	}
}

// excerpt returns the first words of an answer. Servers repeat what they were asked
// for ("Cannot POST /hooks/..."), and the URL may hold a secret.
func (w *Webhook) excerpt(said []byte) string {
	text := w.secrets.Replace(strings.TrimSpace(string(said)))
	return text[:min(len(text), replyExcerpt)]
}

// secretLength is from how many bytes on a piece of a URL may be a secret.
const secretLength = 8

// hideURL replaces path and query of u, and each piece of them that is long enough
// for a secret, as they are written and as they are meant.
func hideURL(u *url.URL) *strings.Replacer {
	pieces := []string{u.RequestURI(), u.Path, u.EscapedPath(), u.RawQuery}
	for _, whole := range []string{u.Path, u.EscapedPath()} {
		pieces = append(pieces, strings.Split(whole, "/")...)
	}
	for _, values := range u.Query() {
		pieces = append(pieces, values...)
	}
	for parameter := range strings.SplitSeq(u.RawQuery, "&") {
		_, value, _ := strings.Cut(parameter, "=")
		pieces = append(pieces, value)
	}
	pieces = slices.DeleteFunc(pieces, func(s string) bool { return len(s) < secretLength })
	slices.SortFunc(pieces, func(a, b string) int { return len(b) - len(a) }) // the longest wins
	pairs := make([]string, 0, 2*len(pieces))
	for _, piece := range pieces {
		pairs = append(pairs, piece, "(url)")
	}
	return strings.NewReplacer(pairs...)
}

// signature returns the value of X-Mtatap-Signature for body.
func signature(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// fitBody returns how many of events, at least one, go into one request.
func fitBody(events []*event.Event, limit int) int {
	limit = min(limit, len(events), maxRequestEvents)
	size := 0
	for n := range limit {
		if size += len(events[n].JSON) + 1; size > maxRequestBytes && n > 0 {
			return n
		}
	}
	return limit
}

// statusError is an answer other than 2xx.
type statusError struct {
	code       int
	text       string // first words of the body
	retryAfter time.Duration
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("post events: HTTP %d %s", e.code, http.StatusText(e.code))
	if e.text != "" {
		text += ": " + e.text
	}
	return text
}

// refused reports whether the answer is about the content of the request.
func (e *statusError) refused() bool {
	switch e.code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired:
		return false
	}
	return e.code >= 400 && e.code < 500
}

func (e *statusError) cause() Cause {
	if e.code == http.StatusRequestEntityTooLarge {
		return CauseTooLarge
	}
	return CauseRefused
}

// retryAfter reads the header of that name (RFC 9110 section 10.2.3), 0 if it is
// absent or makes no sense.
func retryAfter(value string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

func webhookHint(err error) string {
	var status *statusError
	if !errors.As(err, &status) {
		return tlsHint(err)
	}
	switch {
	case status.refused():
		return "the request is split; a single event that is refused goes to the dead letters"
	case status.code >= 300 && status.code < 400:
		return "redirects are not followed: set url to the final address"
	case status.code >= 400 && status.code < 500 && status.retryAfter == 0:
		return "check the url and its credentials"
	}
	return ""
}
