package rules

import _ "embed"

//go:embed schema.json
var schema string

// Schema returns the JSON Schema of a rules file. Parse sees more: references
// that lead nowhere, expressions that don't compile, examples that fail.
func Schema() string { return schema }
