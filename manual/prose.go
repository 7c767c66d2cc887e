package manual

// prose is a section that only people can write.
type prose struct{ title, text string }

var commandProse = []prose{
	{"EXIT STATUS", `0 all is well: lines that cannot be read are counted, they are no errors. 1 the
input is wrong. 2 the command line is wrong.`},
	{"SIGNALS", `SIGTERM and SIGINT end the sidecar in order: sinks drain, then the checkpoint is
saved. SIGHUP loads the rules and the log level again; a file with a mistake is
refused as a whole and the old rules stay.`},
	{"FILES", `  /etc/mtatap/mtatap.yaml       configuration
  /etc/mtatap/secrets/          secrets for the systemd unit to hand over
  /var/lib/mtatap/              checkpoint, events, dead letters
  /usr/share/mtatap/schema/     JSON Schemas, for editors and consumers
  /usr/share/mtatap/grafana/    dashboards and alert rules`},
	{"METRICS", `Metrics, health (/-/healthy, /-/ready) and reload (POST /-/reload) are served on
127.0.0.1:10525 unless the configuration says otherwise.`},
}

const configProse = `The configuration is one YAML document without aliases and tags. Unknown keys are
errors. ${NAME} in a value is replaced from the environment, $${ stands for ${.
Relative paths start at the folder of the file. Sizes are in bytes or as in 64KiB
and 100MiB, durations as in 50ms, 60s, 5m and 1h30m. Below, sources[].path is the key
path in each item of the list sources.

  mtatap check --config.file /etc/mtatap/mtatap.yaml

tells every mistake with its line.`

var configSections = []prose{
	{"SECRETS", `Passwords and keys are files that other users cannot read. Under systemd let the
unit hand them over with LoadCredential= and write
${CREDENTIALS_DIRECTORY}/kafka.password.`},
	{"EXAMPLE", `  sources:
    - path: /var/log/mail.log
      format: postfix
  sinks:
    kafka: {brokers: ["127.0.0.1:9092"], topic: mtatap.events}`},
	{"EDITORS", `The first line of the packaged file names its JSON Schema, so that editors with a
YAML language server complete and check the file; "mtatap schema config" prints it.`},
}

const rulesProse = `A rules file says what the reply of a mail server means. The first rule that
matches decides. After the rules come the enhanced codes, the reply codes and a
default by status. Each condition of a rule takes one value or a list, any of which
is enough; match, phrase and regex are three ways to write the same condition, the
words; all other conditions must hold as well.

Replies are compared without case, with each run of white space as one space and
without the local parts of addresses. Below, NAME is a name of your own.

  mtatap check --rules my-rules.yaml

tells every mistake with its line and runs all examples. SIGHUP loads the file again.`

var rulesSections = []prose{
	{"EXAMPLE", `  schema: 1
  version: "2026-12-01"
  extends: default
  disable: [challenge-response]
  providers:
    partner: {hosts: [mx.partner.example], domains: [partner.example]}
  rules:
    - id: partner-parked
      provider: partner
      match: [domain is parked]
      category: general
      reason: parked
      examples: ["550 5.7.1 This domain is parked"]`},
}
