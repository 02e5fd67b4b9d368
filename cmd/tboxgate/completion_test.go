package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBashCompletion has a bash without any options of its own complete commands and flags. Where there is no bash there is
// nothing to complete; the gate is a bash script, so it has one.
func TestBashCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		return
	}
	for line, want := range map[string]string{
		"tboxgate sess":             "sessions",
		"tboxgate tail --f":         "--follow",
		"tboxgate tail --data-d":    "--data-dir",
		"tboxgate send query --par": "--params",
		"tboxgate fleet s":          "summary silent",
	} {
		cmd := exec.Command(bash, "--norc", "-c", bashCompletion+`tboxgate() { "$BINARY" "$@"; }
			read -ra COMP_WORDS <<<"$LINE"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tboxgate; echo "${COMPREPLY[*]}"`)
		cmd.Env = append(os.Environ(), runMain+"=1", "BINARY="+os.Args[0], "LINE="+line)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, want+"\n", string(out), line)
	}
}
