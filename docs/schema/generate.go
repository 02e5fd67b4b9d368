// Package schema holds the JSON Schema of every record, and tests it against what the gateway's packages write.
package schema

//go:generate go run ./schemagen
