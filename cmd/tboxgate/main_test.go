package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// runMain in the environment makes the test binary be tboxgate: black-box tests start it as a process of its own, with
// signals and exit codes, and without building a second binary.
const runMain = "TEST_RUN_TBOXGATE"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // imports have started some: gnet its worker pool
}

// tboxgate runs a command in this process.
func tboxgate(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(context.Background(), append([]string{"tboxgate"}, args...), strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}
