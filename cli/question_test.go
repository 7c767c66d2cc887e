package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"mtatap/rules"
)

// trickyLines are JSON, or nearly, in which a scanner may stumble.
var trickyLines = []string{
	`{"id":1,"text":"550 5.1.1 User unknown"}`, ` { "text" : "a" , "id" : [ 1 , {"a":null} ] } `, `{}`, `{"text":"a","text":"b"}`,
	`{"TEXT":"a"}`, `{"text":null}`, `{"text":1}`, `{"id":-0.5e+3,"text":"\u00e9\ud83d\ude00\n\"\\\/\t"}`, `{"text":"\ud83d"}`, `{"text":"\ud83dx"}`,
	`{"text":"` + "\xff" + `"}`, `{"id":"` + "\xff" + `","text":"a"}`, `{"text":"a"},`, `{"text":"a"`, `{"text":"a",}`, `{"text" "a"}`, `{"\u0074ext":"a"}`,
	`{"text":"a` + "\x01" + `"}`, `{"id":01}`, `{"id":1.}`, `{"id":tru}`, `{"id":nullx}`, `[]`, `"text"`, ``, `null`, `{"id":[1,]}`, `{"id":{"a"}}`,
	`{"status":"bounced","provider":"google","relay_host":"mx.example"}`, `{"` + "\u017f" + `tatus":"x"}`, `{"text":"\x"}`, `{"text":"\u12g4"}`, `{"text":"\`,
	`{"id":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
}

// agree reports how the scanner reads line otherwise than encoding/json, "" if
// it does not.
func agree(line []byte) string {
	var quick, want question
	scanned := scanQuestion(line, &quick)
	err := json.Unmarshal(line, &want)
	if scanned && (err != nil || !reflect.DeepEqual(quick, want)) {
		return fmt.Sprintf("scanned %+v, want %+v, %v", quick, want, err)
	}
	got, gotErr := readQuestion(line)
	if (gotErr == nil) != (err == nil) || err == nil && !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("read %+v, %v, want %+v, %v", got, gotErr, want, err)
	}
	return ""
}

func TestAQuestionIsReadAsEncodingJSONReadsIt(t *testing.T) {
	for _, line := range trickyLines {
		if diff := agree([]byte(line)); diff != "" {
			t.Errorf("%q: %s", line, diff)
		}
	}
}

func FuzzReadQuestion(f *testing.F) {
	for _, line := range trickyLines {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if diff := agree(line); diff != "" {
			t.Error(diff)
		}
	})
}

// Without this the scanner could give up on everything and no test would notice.
func TestLinesAsProgramsWriteThemAreScanned(t *testing.T) {
	for _, line := range []string{trickyLines[0], trickyLines[1], `{"id":-0.5e+3,"text":"\u00e9\ud83d\ude00\n\"\\\/\t","other":[true,{"a":"b"}]}`} {
		if !scanQuestion([]byte(line), new(question)) {
			t.Errorf("left to encoding/json: %s", line)
		}
	}
}

// distinctQuestions returns n lines of JSON: the replies that are examples in
// the rules file, over and over, each with a number of its own.
func distinctQuestions(tb testing.TB, n int) []byte {
	tb.Helper()
	source := testEnvironment(tb, "", nil, nil).Rules
	examples := regexp.MustCompile(`(?m)^ +- "([245]\d\d[^"\\]*)"$`).FindAllSubmatch(source, -1)
	if len(examples) < 100 {
		tb.Fatalf("only %d examples found", len(examples))
	}
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"id":"r%d","text":%q,"relay_host":"mx%d.example.com","status":"bounced"}`+"\n", i, fmt.Sprintf("%s (%d)", examples[i%len(examples)][1], i), i)
	}
	return b.Bytes()
}

func BenchmarkClassifyJSON(b *testing.B) {
	c, set := newTestClassify(b)
	const replies = 20_000
	lines := distinctQuestions(b, replies)
	w := bufio.NewWriterSize(io.Discard, 64<<10)
	b.ReportAllocs()
	b.SetBytes(int64(len(lines)))
	for b.Loop() {
		if err := c.each(bytes.NewReader(lines), w, set); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*replies/b.Elapsed().Seconds(), "replies/s")
}

func newTestClassify(tb testing.TB) (*classify, *rules.Set) {
	tb.Helper()
	set, err := loadRules("", testEnvironment(tb, "", nil, nil).Rules)
	if err != nil {
		tb.Fatal(err)
	}
	return &classify{env: Environment{Stderr: io.Discard}, input: "json", output: "json"}, set
}
