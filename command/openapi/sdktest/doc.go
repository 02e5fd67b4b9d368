// Package sdktest holds the tests of the HTTP API with Alibaba Cloud's own SDKs. It is a module of its own so that their
// dependencies stay out of the product's go.mod.
//
//	cd command/openapi/sdktest && go test ./...
package sdktest
