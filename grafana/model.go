package main

// object is a part of Grafana's JSON model (schema version 39, Grafana 10 and
// later).
type object = map[string]any

// panel is a panel as we think of it.
type panel struct {
	kind        string // Grafana's panel type
	title       string
	description string
	unit        string // Grafana's id of a unit
	width       int    // of 24 columns
	queries     []query
	options     object // of this kind of panel
	max         any    // of the axis; nil is by the data
}

// query is an expression and the legend of its series.
type query struct {
	expr   string
	legend string
}

// row is a heading and the panels under it.
type row struct {
	title  string
	panels []panel
}

const panelHeight = 8

var source = object{"type": "prometheus", "uid": "${datasource}"}

func dashboard() object {
	return object{
		"uid": "mtatap", "title": "Mail deliverability", "tags": []string{"mail", "mtatap"},
		"description":   "Why mail did not arrive: delivery events of mtatap.",
		"schemaVersion": 39, "version": 1, "editable": true, "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
		"time":        object{"from": "now-6h", "to": "now"},
		"templating":  object{"list": variables()},
		"annotations": object{"list": []object{reloads()}},
		"links":       []object{},
		"panels":      layOut(rows()),
	}
}

func variables() []object {
	variable := func(name, label, metric string) object {
		expr := "label_values(" + metric + ", " + name + ")"
		return object{
			"name": name, "label": label, "type": "query", "datasource": source,
			"query": object{"query": expr, "refId": name}, "definition": expr,
			"refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
			"current": object{"text": []string{"All"}, "value": []string{"$__all"}},
		}
	}
	return []object{
		{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": object{}},
		variable("instance", "Host", "mtatap_build_info"),
		variable("mta", "Mail server", "mtatap_events_total"),
		variable("provider", "Provider", "mtatap_events_total"),
	}
}

// reloads marks where new rules came into use.
func reloads() object {
	return object{
		"name": "Rules reloaded", "enable": true, "iconColor": "purple", "datasource": source,
		"expr": reloaded, "step": "60s", "titleFormat": "Rules reloaded", "textFormat": "{{instance}}",
	}
}

// layOut places the panels of each row from left to right.
func layOut(rows []row) []object {
	var all []object
	id, y := 0, 0
	next := func() int { id++; return id }
	for _, r := range rows {
		all = append(all, object{"id": next(), "type": "row", "title": r.title, "collapsed": false, "panels": []object{}, "gridPos": object{"x": 0, "y": y, "w": 24, "h": 1}})
		y++
		x := 0
		for _, p := range r.panels {
			if x+p.width > 24 {
				x, y = 0, y+panelHeight
			}
			all = append(all, p.object(next(), object{"x": x, "y": y, "w": p.width, "h": panelHeight}))
			x += p.width
		}
		y += panelHeight
	}
	return all
}

func (p panel) object(id int, place object) object {
	var targets []object
	for i, q := range p.queries {
		t := object{"refId": string(rune('A' + i)), "datasource": source, "expr": q.expr, "legendFormat": q.legend, "range": true}
		switch p.kind {
		case "heatmap":
			t["format"] = "heatmap"
		case "bargauge", "stat":
			t["instant"], t["range"] = true, false
		}
		targets = append(targets, t)
	}
	defaults := object{"unit": p.unit, "min": 0}
	if p.max != nil {
		defaults["max"] = p.max
	}
	if p.kind == "timeseries" {
		defaults["custom"] = object{"fillOpacity": 12, "showPoints": "never", "lineWidth": 1}
	}
	return object{
		"id": id, "type": p.kind, "title": p.title, "description": p.description, "datasource": source,
		"gridPos": place, "targets": targets, "options": p.options,
		"fieldConfig": object{"defaults": defaults, "overrides": []object{}},
	}
}
