package main

// What the variables at the top of the dashboard select. Delivery attempts leave
// out what the host itself refused.
const (
	events   = `mtatap_events_total{instance=~"$instance", mta=~"$mta", provider=~"$provider", status!="rejected"}`
	accepted = `mtatap_events_total{instance=~"$instance", mta=~"$mta", provider=~"$provider", status="delivered"}`
	deferred = `mtatap_events_total{instance=~"$instance", mta=~"$mta", provider=~"$provider", status="deferred"}`
	bounced  = `mtatap_events_total{instance=~"$instance", mta=~"$mta", provider=~"$provider", status=~"bounced|expired"}`
	failed   = `mtatap_events_total{instance=~"$instance", mta=~"$mta", provider=~"$provider", status!="rejected", category!="delivered"}`
	blocked  = `mtatap_events_total{instance=~"$instance", mta=~"$mta", provider=~"$provider", status!="rejected", category=~"block-.*"}`
	delays   = `mtatap_delivery_delay_seconds_bucket{instance=~"$instance", mta=~"$mta", provider=~"$provider"}`

	reloaded = `changes(mtatap_rules_last_reload_success_timestamp_seconds{instance=~"$instance"}[1m]) > 0`
)

func rateBy(labels, selector string) string {
	return "sum by (" + labels + ") (rate(" + selector + "[$__rate_interval]))"
}

func countBy(labels, selector string) string {
	return "sum by (" + labels + ") (increase(" + selector + "[$__range]))"
}

// host selects a metric of the pipeline by host.
func host(metric string) string { return metric + `{instance=~"$instance"}` }

var (
	lines = object{"legend": object{"displayMode": "table", "placement": "right", "showLegend": true, "calcs": []string{"lastNotNull", "max"}}, "tooltip": object{"mode": "multi", "sort": "desc"}}
	bars  = object{"orientation": "horizontal", "displayMode": "basic", "reduceOptions": object{"calcs": []string{"lastNotNull"}, "values": false}}
	one   = object{"colorMode": "value", "graphMode": "area", "reduceOptions": object{"calcs": []string{"lastNotNull"}, "values": false}}
	heat  = object{"calculate": false, "yAxis": object{"unit": "s"}, "color": object{"mode": "scheme", "scheme": "Oranges", "steps": 64}, "legend": object{"show": true}, "cellGap": 1}
)

func graph(title, description, unit string, width int, queries ...query) panel {
	return panel{kind: "timeseries", title: title, description: description, unit: unit, width: width, queries: queries, options: lines}
}

func share(title, description string, width int, queries ...query) panel {
	p := graph(title, description, "percentunit", width, queries...)
	p.max = 1
	return p
}

func ranking(title, description string, width int, q query) panel {
	return panel{kind: "bargauge", title: title, description: description, unit: "short", width: width, queries: []query{q}, options: bars}
}

func number(title, description, unit string, q query) panel {
	return panel{kind: "stat", title: title, description: description, unit: unit, width: 4, queries: []query{q}, options: one}
}

func rows() []row {
	return []row{
		{"At a glance", []panel{
			number("Accepted", "Recipients whose mail the other side took, in the time shown.", "short", query{"sum(increase(" + accepted + "[$__range]))", "accepted"}),
			number("Bounced", "Recipients that the mail server gave up on.", "short", query{"sum(increase(" + bounced + "[$__range]))", "bounced"}),
			number("Deferral share", "Share of delivery attempts that were put off.", "percentunit", query{"sum(increase(" + deferred + "[$__range])) / sum(increase(" + events + "[$__range]))", "deferred"}),
			number("Block share", "Share of delivery attempts that were blocked for who sends or for what is sent.", "percentunit", query{"sum(increase(" + blocked + "[$__range])) / sum(increase(" + events + "[$__range]))", "blocked"}),
			number("Behind the log", "How late events come. Alerts about mail pause above five minutes.", "s", query{"max(" + host("mtatap_tail_lag_seconds") + ")", "lag"}),
			number("No rule knows", "Share of failures that only their codes decided.", "percentunit", query{"sum(increase(mtatap_unclassified_total{instance=~\"$instance\", mta=~\"$mta\", provider=~\"$provider\"}[$__range])) / sum(increase(" + failed + "[$__range]))", "unclassified"}),
		}},
		{"Deliverability by provider", []panel{
			graph("Accepted", "Recipients a second that each provider took.", "ops", 8, query{rateBy("provider", accepted), "{{provider}}"}),
			graph("Deferred", "Attempts a second that each provider put off.", "ops", 8, query{rateBy("provider", deferred), "{{provider}}"}),
			graph("Bounced", "Recipients a second that were given up, by provider.", "ops", 8, query{rateBy("provider", bounced), "{{provider}}"}),
			share("Block share", "Share of delivery attempts to each provider that were blocked. A step here is a listing or a limit.", 12, query{rateBy("provider", blocked) + " / " + rateBy("provider", events), "{{provider}}"}),
			share("Bounce share", "Share of final outcomes of each provider that are bounces.", 12, query{rateBy("provider", bounced) + " / (" + rateBy("provider", bounced) + " + " + rateBy("provider", accepted) + ")", "{{provider}}"}),
		}},
		{"Why", []panel{
			graph("Failures by category", "What failures mean; docs/categories.md says what to do about each.", "ops", 12, query{rateBy("category", failed), "{{category}}"}),
			ranking("Failures by category, in all", "Failures in the time shown.", 6, query{"sort_desc(" + countBy("category", failed) + ")", "{{category}}"}),
			ranking("Top reasons", "Rules that decided most: each stands for one reason. mtatap rules list explains them.", 6, query{"topk(15, " + countBy("rule", `mtatap_rule_hits_total{instance=~"$instance"}`) + " > 0)", "{{rule}}"}),
			{kind: "heatmap", title: "Delay", description: "Time in the queue of what was delivered.", unit: "short", width: 12, queries: []query{{"sum by (le) (increase(" + delays + "[$__rate_interval]))", "{{le}}"}}, options: heat},
			graph("Delay, 95th percentile", "By provider: the slowest twentieth of what was delivered took longer.", "s", 12, query{"histogram_quantile(0.95, sum by (le, provider) (rate(" + delays + "[$__rate_interval])))", "{{provider}}"}),
		}},
		{"Pipeline", []panel{
			graph("Lag", "How long ago everything in the log was acknowledged by every required sink.", "s", 8, query{"max by (instance, source) (" + host("mtatap_tail_lag_seconds") + ")", "{{instance}} {{source}}"}),
			graph("Unread", "Bytes of log that no required sink has acknowledged.", "bytes", 8, query{"sum by (instance, source) (" + host("mtatap_tail_lag_bytes") + ")", "{{instance}} {{source}}"}),
			graph("Lines", "Log lines read.", "ops", 8, query{rateBy("instance, source", host("mtatap_lines_total")), "{{instance}} {{source}}"}),
			graph("Not read", "Lines that look like a delivery status and cannot be read, and lines that were cut. They are kept in the dead letters.", "ops", 8,
				query{rateBy("mta, program", host("mtatap_lines_unparsed_total")), "unparsed {{mta}} {{program}}"}, query{rateBy("source", host("mtatap_lines_truncated_total")), "cut {{source}}"}),
			graph("Not tried", "Lines of Exim which say that nothing was tried, as the retry time was not reached.", "ops", 8, query{rateBy("source", host("mtatap_lines_not_tried_total")), "{{source}}"}),
			graph("Unclassified", "Failures that only their codes decided.", "ops", 8, query{rateBy("provider", `mtatap_unclassified_total{instance=~"$instance", mta=~"$mta", provider=~"$provider"}`), "{{provider}}"}),
			graph("Gaps and rotations", "Places where lines may have been missed, and rotations that were followed.", "short", 8,
				query{"sum by (source, kind) (increase(" + host("mtatap_tail_gaps_total") + "[$__rate_interval]))", "gap {{source}} {{kind}}"}, query{"sum by (source) (increase(" + host("mtatap_rotations_total") + "[$__rate_interval]))", "rotation {{source}}"}),
			graph("Sink events", "Events that each sink took.", "ops", 8, query{rateBy("instance, sink", host("mtatap_sink_events_total")), "{{instance}} {{sink}}"}),
			graph("Sink errors", "Failed attempts to write to a sink. Each is tried again.", "ops", 8, query{rateBy("instance, sink", host("mtatap_sink_errors_total")), "{{instance}} {{sink}}"}),
			graph("Sink queue", "Events that wait for a sink.", "short", 8, query{"sum by (instance, sink) (" + host("mtatap_sink_queue_events") + ")", "{{instance}} {{sink}}"}),
			graph("Sink write time, 95th percentile", "Time that a write took, retries included.", "s", 8, query{"histogram_quantile(0.95, sum by (le, sink) (rate(" + host("mtatap_sink_write_seconds_bucket") + "[$__rate_interval])))", "{{sink}}"}),
			graph("Dead letters", "Events and lines that were set aside or dropped, by cause.", "short", 8, query{"sum by (sink, cause) (increase(" + host("mtatap_dead_letters_total") + "[$__rate_interval]))", "{{sink}} {{cause}}"}),
			graph("Joins forgotten", "Messages forgotten before their end because too many were under way: events may lack their sender.", "short", 8, query{"sum by (source) (increase(" + host("mtatap_join_evictions_total") + "[$__rate_interval]))", "{{source}}"}),
			graph("Since the last checkpoint", "Time since the position was last saved. It is saved when something was read.", "s", 8, query{"time() - max by (instance) (" + host("mtatap_checkpoint_timestamp_seconds") + ")", "{{instance}}"}),
			graph("Memory", "Resident memory of mtatap.", "bytes", 8, query{"max by (instance) (process_resident_memory_bytes{instance=~\"$instance\"} and on (instance) mtatap_build_info)", "{{instance}}"}),
			graph("Rules", "1 while the last reload of the rules succeeded, 0 while older rules stay in use.", "short", 8, query{"max by (instance) (" + host("mtatap_rules_last_reload_successful") + ")", "{{instance}}"}),
		}},
		{"Suppression", []panel{
			graph("Suppressed", "Recipients that must not be mailed any more, by the reason of the deciding failure.", "short", 8, query{"sum by (reason) (increase(" + host("mtatap_suppressed_total") + "[$__rate_interval]))", "{{reason}}"}),
			graph("Converted", "Recipients suppressed because a soft category kept coming back.", "short", 8, query{"sum by (instance) (increase(" + host("mtatap_suppression_conversions_total") + "[$__rate_interval]))", "{{instance}}"}),
			graph("Released", "Recipients that may be mailed again, by cause.", "short", 8, query{"sum by (cause) (increase(" + host("mtatap_suppression_releases_total") + "[$__rate_interval]))", "{{cause}}"}),
			graph("Undecided", "Events on Kafka that have not been decided on yet, by partition.", "short", 8, query{"sum by (partition) (" + host("mtatap_suppression_lag_events") + ")", "{{partition}}"}),
			graph("Restore time", "How long the last partition that was taken over took to restore.", "s", 8, query{"max by (instance) (" + host("mtatap_suppression_restore_seconds") + ")", "{{instance}}"}),
			graph("Not read", "Records of the events and commands topics that could not be read.", "ops", 8, query{rateBy("instance", host("mtatap_suppression_refused_records_total")), "{{instance}}"}),
			graph("Recipients known", "Recipients of whom something is known.", "short", 8, query{"sum by (instance) (" + host("mtatap_suppression_state_recipients") + ")", "{{instance}}"}),
			graph("State", "Size of the file that holds the state.", "bytes", 8, query{"sum by (instance) (" + host("mtatap_suppression_state_bytes") + ")", "{{instance}}"}),
			graph("Forgotten", "Recipients forgotten before their time because there were too many.", "short", 8, query{"sum by (instance) (increase(" + host("mtatap_suppression_forgotten_total") + "[$__rate_interval]))", "{{instance}}"}),
		}},
	}
}
