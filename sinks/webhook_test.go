package sinks

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mtatap/config"
	"mtatap/event"
)

func newTestWebhook(t *testing.T, cfg config.Webhook, o *outside) *Webhook {
	t.Helper()
	w, err := NewWebhook(cfg, o.Deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestWebhookPostsSignedBatches(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	var sizes []int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte("hush"))
		mac.Write(body)
		if r.Header.Get("X-Mtatap-Signature") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("signature %q", r.Header.Get("X-Mtatap-Signature"))
		}
		if r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%s of %s", r.Method, r.Header.Get("Content-Type"))
		}
		got.Write(body)
		sizes = append(sizes, strings.Count(string(body), "\n"))
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	events := makeEvents(2500, 7)
	w := newTestWebhook(t, config.Webhook{URL: server.URL, SecretFile: secret}, newOutside(t))
	if err := w.Write(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	if got.String() != ndjson(events) || fmt.Sprint(sizes) != "[1000 1000 500]" {
		t.Errorf("requests of %v events", sizes)
	}
}

func TestWebhookSplitsWhatIsRefusedAndBuriesASingleEvent(t *testing.T) {
	var got strings.Builder
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case len(body) > 60_000:
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		case strings.Contains(string(body), "poison"):
			http.Error(w, "no poison\x1b[2J here", http.StatusUnprocessableEntity)
		default:
			got.Write(body)
		}
	}))
	defer server.Close()
	events := makeEvents(1000, 7)
	events[400].JSON = []byte(`{"poison":1}`)
	padded(events[999], 70_000)
	o := newOutside(t)
	if err := newTestWebhook(t, config.Webhook{URL: server.URL}, o).Write(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	good := append(append([]*event.Event(nil), events[:400]...), events[401:999]...)
	if got.String() != ndjson(good) {
		t.Error("the good events did not arrive in order and once")
	}
	if fmt.Sprint(o.buried) != "map[under-test refused:1 under-test too_large:1]" {
		t.Errorf("dead letters %v", o.buried)
	}
	if dead := readFile(t, o.path); !strings.Contains(dead, `"detail":"post events: HTTP 422 Unprocessable Entity: no poison [2J here","event":{"poison":1}}`) {
		t.Errorf("dead letters:\n%.400s", dead)
	}
}

// replies answers requests one after the other without a network.
type replies struct {
	answers []*http.Response
	at      []time.Time
}

func (r *replies) RoundTrip(req *http.Request) (*http.Response, error) {
	r.at = append(r.at, time.Now())
	if len(r.answers) == 0 {
		return nil, errors.New("no answer left")
	}
	res := r.answers[0]
	r.answers = r.answers[1:]
	if res == nil {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return res, nil
}

func reply(code int, header ...string) *http.Response {
	res := &http.Response{StatusCode: code, Header: http.Header{}, Body: http.NoBody}
	for i := 0; i < len(header); i += 2 {
		res.Header.Set(header[i], header[i+1])
	}
	return res
}

func TestWebhookRetriesWhatMayPass(t *testing.T) {
	for name, c := range map[string]struct {
		answer   func() *http.Response
		min, max time.Duration
	}{
		"a server error is retried soon":            {func() *http.Response { return reply(500) }, minBackoff, 2 * minBackoff},
		"a time-out of the request is retried soon": {func() *http.Response { return reply(408) }, minBackoff, 2 * minBackoff},
		"too early is retried soon":                 {func() *http.Response { return reply(425) }, minBackoff, 2 * minBackoff},
		"a wrong token is retried soon":             {func() *http.Response { return reply(401) }, minBackoff, 2 * minBackoff},
		"a redirect is retried, not followed":       {func() *http.Response { return reply(302, "Location", "/x") }, minBackoff, 2 * minBackoff},
		"no answer is given up after the time-out":  {func() *http.Response { return nil }, 3*time.Second + minBackoff, 3*time.Second + 2*minBackoff},
		"Retry-After in seconds is respected":       {func() *http.Response { return reply(429, "Retry-After", "17") }, 17 * time.Second, 17 * time.Second},
		"Retry-After as a date is respected": {func() *http.Response {
			return reply(503, "Retry-After", time.Now().UTC().Add(90*time.Second).Format(http.TimeFormat))
		}, 90 * time.Second, 90 * time.Second},
		"Retry-After without end is cut":                 {func() *http.Response { return reply(503, "Retry-After", "99999999") }, maxRetryAfter, maxRetryAfter},
		"Retry-After that makes no sense is passed over": {func() *http.Response { return reply(503, "Retry-After", "soon") }, minBackoff, 2 * minBackoff},
		"Retry-After of the past does not make it hurry": {func() *http.Response { return reply(503, "Retry-After", "Fri, 01 Jan 1999 00:00:00 GMT") }, minBackoff, 2 * minBackoff},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutside(t)
				r := &replies{answers: []*http.Response{c.answer(), reply(200)}}
				w := newTestWebhook(t, config.Webhook{URL: "http://hook.invalid/?token=hush", Timeout: 3 * time.Second}, o)
				w.client.Transport = r
				if err := w.Write(t.Context(), makeEvents(3, 1)); err != nil {
					t.Fatal(err)
				}
				if wait := r.at[1].Sub(r.at[0]); wait < c.min || wait > c.max {
					t.Errorf("waited %v, not within %v and %v", wait, c.min, c.max)
				}
				if o.failures != 1 || len(o.buried) != 0 {
					t.Errorf("%d failures, dead letters %v", o.failures, o.buried)
				}
				if strings.Contains(o.log.String(), "hush") {
					t.Errorf("the log has the url's token:\n%s", &o.log)
				}
			})
		})
	}
}

func TestAnAnswerThatRepeatsTheURLDoesNotShowIt(t *testing.T) {
	w := newTestWebhook(t, config.Webhook{URL: "https://hook.invalid/v1/T0K3N-of-path/e%2Fv?token=T0K3N%20query&n=1"}, newOutside(t))
	for said, want := range map[string]string{
		" Cannot POST /v1/T0K3N-of-path/e%2Fv?token=T0K3N%20query&n=1 ": "Cannot POST (url)",
		"no route /v1/T0K3N-of-path/e/v":                                "no route (url)",
		"T0K3N-of-path is unknown, T0K3N query too, v1 is not":          "(url) is unknown, (url) too, v1 is not",
		"T0K3N%20query": "(url)",
		strings.Repeat("x", replyExcerpt-3) + "T0K3N-of-path": strings.Repeat("x", replyExcerpt-3) + "(ur",
	} {
		if got := w.excerpt([]byte(said)); got != want {
			t.Errorf("%q gives %q, want %q", said, got, want)
		}
	}
	plain := newTestWebhook(t, config.Webhook{URL: "https://hook.invalid/"}, newOutside(t))
	if got := plain.excerpt([]byte("no / here")); got != "no / here" {
		t.Errorf("got %q", got)
	}
}

func TestWebhookStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTestWebhook(t, config.Webhook{URL: "http://hook.invalid/"}, newOutside(t))
		w.client.Transport = &replies{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.Write(ctx, makeEvents(3, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestNewWebhookRefusesUnusableSettings(t *testing.T) {
	for _, url := range []string{"", "hook", "ftp://hook/", "http://", "http://[::1"} {
		if _, err := NewWebhook(config.Webhook{URL: url}, newOutside(t).Deps); err == nil {
			t.Errorf("url %q was accepted", url)
		}
	}
}

func TestOpenWaitsForAnyAnswerOfTheServer(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method)
		if len(asked) == 1 {
			panic(http.ErrAbortHandler) // no answer
		}
		w.WriteHeader(http.StatusMethodNotAllowed)
	}))
	defer server.Close()
	o := newOutside(t)
	w := newTestWebhook(t, config.Webhook{URL: server.URL + "?token=hush"}, o)
	if err := w.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(asked, " "); got != "HEAD HEAD" {
		t.Errorf("asked %s, want a second try and no more", got)
	}
	if strings.Contains(o.log.String(), "hush") {
		t.Errorf("the log shows what the URL holds: %s", o.log.String())
	}
}
