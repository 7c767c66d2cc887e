package config

import "time"

// DefaultListenAddress is where metrics and health are served unless the
// configuration says otherwise.
const DefaultListenAddress = "127.0.0.1:10525"

// Config is a valid mtatap.yaml with its defaults filled in.
type Config struct {
	Sources      []Source
	Rules        string // path of the rules file; "" is the built-in set
	StateDir     string // "" keeps no state: only ForSources gives that
	Batch        Batch
	MaxLineBytes int
	RotateWait   time.Duration
	DeadLetters  DeadLetters
	ReadyMaxLag  time.Duration
	Privacy      Privacy
	Sinks        []Sink    // in file order
	Suppress     *Suppress // nil: none
	Web          Web
	Log          Log
}

// Source is a log to follow: a file or glob, or a journal.
type Source struct {
	Path        string   // file or glob; "" for a journal
	Journald    *Journal // nil for a file
	Format      string   // one of parsers.Formats
	Start       string   // end or beginning: only where there is no checkpoint
	Timezone    *time.Location
	Rejects     bool
	NonAttempts bool
	FilterHops  []string
	VERP        []string
}

// Journal selects what to read from journald.
type Journal struct {
	Units     []string // unit names or globs
	Directory string   // of the journal's files; "" is the host's own journal
}

// Batch bounds what travels to the sinks together.
type Batch struct {
	Events int
	Bytes  int
	Linger time.Duration
}

// DeadLetters says where permanently refused events go.
type DeadLetters struct {
	Path     string // "" for none
	MaxBytes int64
}

// Privacy says how addresses are published.
type Privacy struct {
	Addresses string // plain, hmac or drop
	KeyFile   string // of hmac
}

// Sink is one named destination. Exactly the settings of its Kind are non-nil.
type Sink struct {
	Name     string
	Kind     string // kafka, file, stdout or webhook
	Required bool
	Kafka    *Kafka
	File     *File
	Webhook  *Webhook
}

// Kafka is a topic on a Kafka cluster.
type Kafka struct {
	Brokers     []string
	Topic       string
	Compression string // none, gzip, snappy, lz4 or zstd
	CreateTopic bool
	TLS         *TLS  // nil: plain text
	SASL        *SASL // nil: no authentication
}

// TLS are the client settings of an encrypted connection.
type TLS struct {
	CAFile             string
	CertFile           string
	KeyFile            string
	ServerName         string
	InsecureSkipVerify bool
}

// SASL is how to authenticate; the password is read from its file at each use.
type SASL struct {
	Mechanism    string // plain, scram-sha-256 or scram-sha-512
	Username     string
	PasswordFile string
}

// Suppress is the decision whom not to mail any more: inside run, for one host, or,
// with Kafka, by the processor of its own.
type Suppress struct {
	Observe       bool   // decisions are only logged
	Store         string // file of the state
	MaxRecipients int    // that are remembered without being suppressed
	File          string // NDJSON of decisions; "" with Kafka
	Webhook       *Webhook
	Kafka         *SuppressKafka
}

// SuppressKafka is where the suppression processor reads and writes. Kafka.Topic is
// that of the events.
type SuppressKafka struct {
	Kafka
	Group        string
	Suppressions string
	Commands     string
	State        string
}

// File is an NDJSON file.
type File struct {
	Path string
}

// Webhook is an HTTP endpoint that takes batches of events.
type Webhook struct {
	URL        string
	Timeout    time.Duration
	SecretFile string // key of the HMAC signature; "" for none
	TLS        *TLS
}

// Web is the HTTP listener of metrics and health.
type Web struct {
	ListenAddress string
	ConfigFile    string // exporter-toolkit web configuration; "" for none
}

// Log is how mtatap itself logs.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // logfmt or json
}
