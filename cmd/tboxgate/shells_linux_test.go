//go:build shells

package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// sourced makes tboxgate a command of the shell, and loads its completion as its help says.
func sourced(shell string) string {
	return "tboxgate() { \"$BINARY\" \"$@\"; }\nsource <(tboxgate completion " + shell + ")\n"
}

// TestBashCompletion has a bash without any options of its own complete commands and flags.
func TestBashCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"tboxgate sess":             "sessions",
		"tboxgate tail --f":         "--follow",
		"tboxgate tail --data-d":    "--data-dir",
		"tboxgate send query --par": "--params",
		"tboxgate fleet s":          "summary silent",
		"tboxgate decode --":        "--pretty --dissect --pcap --port --help",
	} {
		cmd := exec.Command("bash", "--norc", "-c", sourced("bash")+
			`read -ra COMP_WORDS <<<"$LINE"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tboxgate; echo "${COMPREPLY[*]}"`)
		cmd.Env = append(os.Environ(), runMain+"=1", "BINARY="+os.Args[0], "LINE="+line)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, want+"\n", string(out), line)
	}
}

// zshrc makes a zsh fill in each line that it edits with one of the file lines, have it completed, once more where there is a choice,
// and drop it; then it ends.
const zshrc = `lines=("${(@f)$(<lines)}")
zle-line-init() {
  (( $#lines )) || exit 0
  BUFFER=$lines[1] CURSOR=$#lines[1]
  shift lines
  zle menu-complete
  print -r -- $BUFFER >>completed
  if [[ $BUFFER != *' ' ]]; then
    zle menu-complete
    print -r -- $BUFFER >>completed
  fi
  zle send-break
}
zle -N zle-line-init
`

// TestZshCompletion has a zsh at a terminal complete commands, flags and, where there is nothing of ours, files.
func TestZshCompletion(t *testing.T) {
	dir := t.TempDir()
	lines := "tboxgate sess\ntboxgate tail --f\ntboxgate tail --data-d\ntboxgate send query --par\ntboxgate fleet s\ntboxgate decode --\ntboxgate decode fra\n"
	for name, text := range map[string]string{".zshrc": sourced("zsh") + zshrc, "lines": lines, "frames.txt": ""} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	ours, theirs := terminal(t, 100, 30)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "zsh", "--no-global-rcs", "-i")
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Env = append(os.Environ(), runMain+"=1", "BINARY="+os.Args[0], "ZDOTDIR="+dir, "TERM=dumb")
	require.NoError(t, cmd.Start())
	require.NoError(t, theirs.Close())
	screen, _ := io.ReadAll(ours) // EIO at the end: nobody has it open any more
	require.NoError(t, cmd.Wait(), string(screen))
	completed, err := os.ReadFile(filepath.Join(dir, "completed"))
	require.NoError(t, err, string(screen))
	require.Equal(t, "tboxgate sessions \ntboxgate tail --follow \ntboxgate tail --data-dir \ntboxgate send query --params \n"+
		"tboxgate fleet silent\ntboxgate fleet summary\ntboxgate decode --dissect\ntboxgate decode --help\ntboxgate decode frames.txt \n", string(completed), string(screen))
}
