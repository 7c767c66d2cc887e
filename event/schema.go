package event

import _ "embed"

//go:embed schema.json
var schema string

// Schema returns the JSON Schema of a published event.
func Schema() string { return schema }
