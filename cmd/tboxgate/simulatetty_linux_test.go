package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// screen is a terminal of so many columns and rows that knows what simulate uses: line feeds, carriage returns, going up, and erasing
// down to the end. Anything else is a mistake.
type screen struct {
	t             *testing.T
	width, height int
	rows          [][]rune // all that scrolled out at the top too
	top           int      // the first row that is still on the screen
	y, x          int
	ups           int // times that the cursor went up
	shown         []string
}

func (s *screen) write(text string) {
	for text != "" {
		for len(s.rows) <= s.y {
			s.rows = append(s.rows, nil)
		}
		s.top = max(s.top, len(s.rows)-s.height)
		if rest, found := strings.CutPrefix(text, "\x1b["); found {
			end := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' && r <= '~' })
			require.GreaterOrEqual(s.t, end, 0, "%q", rest)
			n := 1
			if end > 0 {
				var err error
				n, err = strconv.Atoi(rest[:end])
				require.NoError(s.t, err)
			}
			switch rest[end] {
			case 'A':
				s.ups++
				s.shown = append(s.shown, s.text())
				require.GreaterOrEqual(s.t, s.y-n, s.top, "it goes up beyond the screen")
				s.y -= n
			case 'J':
				require.Zero(s.t, s.x, "it erases from the middle of a row")
				s.rows = append(s.rows[:s.y], nil)
			default:
				s.t.Fatalf("an escape sequence that is neither up nor erase: %q", "\x1b["+rest[:end+1])
			}
			text = rest[end+1:]
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch {
		case r == '\r':
			s.x = 0
		case r == '\n':
			s.y++
		case r < ' ':
			s.t.Fatalf("a control character: %q", r)
		case s.x == s.width:
			s.t.Fatalf("a row wraps: %q", string(s.rows[s.y]))
		default:
			s.rows[s.y] = append(s.rows[s.y][:s.x], r)
			s.x++
		}
	}
}

func (s *screen) text() string {
	var b strings.Builder
	for _, row := range s.rows {
		b.WriteString(strings.TrimRight(string(row), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// terminal opens a pseudo terminal of so many columns and rows.
func terminal(t *testing.T, width, height int) (ours, theirs *os.File) {
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ours.Close() })
	fd := int(ours.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)}))
	return ours, theirs
}

// TestSimulateOnATerminal: the table is drawn over itself, in the rows and columns that there are and without colours, and the
// summary alone is left; a terminal that cannot go up gets lines.
func TestSimulateOnATerminal(t *testing.T) {
	t.Parallel()
	g := serve(t, dataDir(t), "--dev", "--sink", "discard")
	for i, c := range []struct {
		name          string
		width, height int
		term          string
	}{{"wide", 160, 50, "xterm"}, {"narrow", 40, 50, "xterm"}, {"low", 100, 5, "xterm"}, {"dumb", 160, 50, "dumb"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := terminal(t, c.width, c.height)
			cmd := exec.Command(os.Args[0], "simulate", "--addr", g.Addresses.Vehicles[0], "--vin", fmt.Sprintf("LTEST0000000010%d0", i),
				"--vehicles", "3", "--drive", "road", "--period", "200ms", "--duration", "3500ms")
			cmd.Env = append(os.Environ(), runMain+"=1", "TERM="+c.term, "NO_COLOR=1")
			cmd.Stdout, cmd.Stderr = theirs, theirs
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			require.NoError(t, theirs.Close())
			var all strings.Builder
			for buf := make([]byte, 4096); ; {
				n, err := ours.Read(buf)
				all.Write(buf[:n])
				if err != nil {
					break // EIO: nobody has it open any more
				}
			}
			require.NoError(t, cmd.Wait(), all.String())
			if c.term == "dumb" {
				require.NotContains(t, all.String(), "\x1b")
				require.True(t, strings.HasPrefix(all.String(), "  time       "), all.String())
				return
			}
			live, result, found := cutLast(all.String(), "\x1b[J")
			require.True(t, found)
			s := &screen{t: t, width: c.width, height: c.height}
			s.write(live + "\x1b[J")
			require.Empty(t, s.text(), "the table is gone at the end")
			require.GreaterOrEqual(t, s.ups, 2)
			last := strings.Split(s.shown[len(s.shown)-1], "\n")
			require.Len(t, last, min(9, c.height-1), "one table at a time")
			require.Contains(t, last[1], "3 of 3 online"[:min(13, c.width-len("  vehicles   ")-1)])
			for i := 1; i < len(s.shown); i++ {
				require.NotEqual(t, s.shown[i-1], s.shown[i], "it is drawn again")
			}
			require.Contains(t, result, "0 refused, 0 wrong, 0 without an answer")
			require.NotContains(t, result, "\x1b")
			require.True(t, strings.HasPrefix(result, "  time       "), result)
		})
	}
}
