//go:build chaos

package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The chaos tests take disks and brokers away from a gateway under load (make chaos). They need root, to
// mount small file systems. In the end every frame that a vehicle was answered success for is in the
// streams, byte for byte.

// chaosRounds says how often each trouble comes.
func chaosRounds(t *testing.T) int {
	s := os.Getenv("TBOXGATE_CHAOS")
	if s == "" {
		return 1
	}
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

// system runs a system command.
func system(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %s (root is needed): %s", name, strings.Join(args, " "), out)
}

// mount mounts something at a new directory until the test ends.
func mount(t *testing.T, args ...string) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tbx")
	require.NoError(t, err)
	system(t, "mount", append(args, dir)...)
	t.Cleanup(func() {
		// A lazy one takes the mount away whoever still uses it.
		out, err := exec.Command("umount", "-l", dir).CombinedOutput()
		require.NoError(t, err, string(out))
		require.NoError(t, os.Remove(dir))
	})
	return dir
}

// steady is the pace of vehicles that fill no disk.
const steady = 5 * time.Millisecond

// chaos is a gateway under load.
type chaos struct {
	t     *testing.T
	g     *gatewayProcess
	fleet crashFleet
	stop  func() // ends the load
}

// startChaos runs a gateway with this configuration and lets the fleet send.
func startChaos(t *testing.T, pace time.Duration, dir, config string) *chaos {
	t.Helper()
	c := &chaos{t: t}
	c.fleet.pace = pace
	c.g = serve(t, dir, "--dev", "--config", writeFile(t, "t.yaml", config))
	ctx, cancel := context.WithCancel(context.Background())
	wait := c.fleet.driveUntil(ctx, c.g.Addresses.Vehicles[0])
	c.stop = func() {
		cancel()
		wait()
	}
	t.Cleanup(c.stop)
	c.flows()
	return c
}

func (c *chaos) ready() int {
	c.t.Helper()
	status, _ := get(c.t, "http://"+c.g.Addresses.Admin+"/readyz")
	return status
}

// flows waits until the gateway is ready and answers more than it had.
func (c *chaos) flows() {
	c.t.Helper()
	before := c.fleet.answeredFrames()
	require.Eventually(c.t, func() bool { return c.ready() == 200 && c.fleet.answeredFrames() > before+100 }, 3*patience, 20*time.Millisecond,
		"the gateway does not answer; stderr:\n%s", &c.g.stderr)
}

// stands waits until the gateway says that it stores nothing, and looks that it lives and answers nothing.
func (c *chaos) stands() {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.ready() == 503 }, 10*patience, 20*time.Millisecond, "the gateway does not say that the store fails; stderr:\n%s", &c.g.stderr)
	// What was confirmed just before may still be on its way to the vehicles.
	require.Eventually(c.t, func() bool {
		n := c.fleet.answeredFrames()
		time.Sleep(300 * time.Millisecond)
		return c.fleet.answeredFrames() == n
	}, 3*patience, time.Millisecond, "answers go on without a store")
	status, _ := get(c.t, "http://"+c.g.Addresses.Admin+"/healthz")
	require.Equal(c.t, 200, status)
}

// TestChaosFullDisk fills the disk and makes room again, without touching the gateway.
func TestChaosFullDisk(t *testing.T) {
	for _, sinks := range crashSinks[:2] {
		disk := mount(t, "-t", "tmpfs", "-o", "size=40m", "tmpfs")
		c := startChaos(t, 0, filepath.Join(disk, "data"), "nats: {maxBytes: 1GiB, listen: \"127.0.0.1:0\"}\n"+sinks)
		size := 40
		for range chaosRounds(t) {
			leave(t, disk, 256<<10)
			c.stands()
			size += 40
			system(t, "mount", "-o", fmt.Sprintf("remount,size=%dm", size), disk)
			c.flows()
		}
		leave(t, disk, 256<<10)
		c.stands()
		system(t, "mount", "-o", "remount,size=600m", disk)
		c.flows()
		c.stop()
		c.fleet.requireStored(t, c.g.Addresses.NATS)
		require.NoError(t, c.g.cmd.Process.Signal(os.Interrupt))
		require.Zero(t, c.g.exit(t), c.g.stderr.String())
	}
}

// leave fills a disk but for so many bytes.
func leave(t *testing.T, disk string, bytes uint64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(disk, "ballast"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	for block := make([]byte, 64<<10); ; {
		var d unix.Statfs_t
		require.NoError(t, unix.Statfs(disk, &d))
		if d.Bavail*uint64(d.Bsize) <= bytes+uint64(len(block)) {
			return
		}
		_, err := f.Write(block)
		require.NoError(t, err)
	}
}

// image is a disk that can fail: a file system whose device is a file, which is in a file system of its own.
type image struct {
	t     *testing.T
	shelf string // where the files of all its devices are
	file  string // of the present device
	dir   string // where it is mounted
}

func newImage(t *testing.T) *image {
	t.Helper()
	im := &image{t: t}
	im.shelf = mount(t, "-o", "loop", ext4(t, filepath.Join(t.TempDir(), "shelf"), 2<<30))
	im.file = ext4(t, filepath.Join(im.shelf, "disk"), 512<<20)
	im.dir = mount(t, "-o", "loop", im.file)
	return im
}

// ext4 makes a file with an empty file system.
func ext4(t *testing.T, file string, size int64) string {
	t.Helper()
	f, err := os.Create(file)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(size))
	require.NoError(t, f.Close())
	system(t, "mkfs.ext4", "-q", "-F", file)
	return file
}

// fail lets every write of the device fail from now on, so that the kernel stops the file system.
//
// It cannot be had by mount -o remount,abort or the ioctl that shuts a file system down: these stop the journal first and
// writes later, and an fsync in between succeeds though the file's new size is never written (Linux 6.18: 13 of 400 files
// that were written and synced record by record lacked the last one; with a failing device none of 200).
func (im *image) fail() { system(im.t, "chattr", "+i", im.file) }

// mend lets the device take writes again.
func (im *image) mend() { system(im.t, "chattr", "-i", im.file) }

// mount mounts it where it was.
func (im *image) mount() { system(im.t, "mount", "-o", "loop", im.file, im.dir) }

// copy makes another device with what the present one holds.
func (im *image) copy() {
	to := im.file + "+"
	system(im.t, "cp", "--sparse=always", im.file, to)
	im.file = to
}

// TestChaosReadOnlyDisk lets the disk fail under the gateway: from one moment to the next nothing is written any more, the
// kernel makes the file system read-only, and what had not been synced is gone. That is also what a power loss leaves behind. With syncInterval always everything answered
// is there after the next start; with 200 ms, what was answered earlier than that is, to which the test adds
// some seconds for a busy machine.
func TestChaosReadOnlyDisk(t *testing.T) {
	for _, sync := range []string{"always", "200ms"} {
		for _, sinks := range crashSinks[:2] {
			disk := newImage(t)
			dir := filepath.Join(disk.dir, "data")
			config := "nats: {maxBytes: 256MiB, syncInterval: " + sync + "}\n" + sinks
			c := startChaos(t, steady, dir, config)
			// The load goes on for a while, and the disk goes at any moment.
			time.Sleep(6*time.Second + time.Duration(rand.IntN(1000))*time.Millisecond)
			at := time.Now()
			disk.fail()
			c.stands()
			c.stop()
			require.NoError(t, c.g.cmd.Process.Kill())
			<-c.g.ended

			system(t, "umount", disk.dir)
			disk.mend()
			disk.mount()
			g := serve(t, dir, "--dev", "--config", writeFile(t, "t.yaml", config), "--nats-listen", "127.0.0.1:0")
			stored := storedFrames(t, g.Addresses.NATS)
			all := c.fleet.missing(stored, time.Now())
			t.Logf("sync %s: %d frames answered, %d of them lost", sync, c.fleet.answeredFrames(), all)
			if sync == "always" {
				require.Zero(t, all, "answered frames that are not in the stream")
			}
			require.Zero(t, c.fleet.missing(stored, at.Add(-4*time.Second)), "frames answered long before")
			require.NoError(t, g.cmd.Process.Kill())
			<-g.ended
		}
	}
}

// TestChaosDiskBack lets the disk fail as TestChaosReadOnlyDisk does, and brings it back under the gateway, which goes on by
// itself: unmounted, checked and mounted again as an operator would, or come back as another device, with the old mount
// taken out of the way.
func TestChaosDiskBack(t *testing.T) {
	for i, sync := range []string{"always", "200ms"} {
		disk := newImage(t)
		data := filepath.Join(disk.dir, "data")
		c := startChaos(t, steady, data, "nats: {maxBytes: 256MiB, listen: \"127.0.0.1:0\", syncInterval: "+sync+"}\n"+crashSinks[i])
		for round := range 2 * chaosRounds(t) {
			time.Sleep(time.Duration(2+4*(round%2)) * time.Second) // a store just made, and one with something to lose
			at := time.Now()
			disk.fail()
			c.stands()
			back := time.Now()
			if round%2 == 0 {
				require.Eventually(t, func() bool { return exec.Command("umount", disk.dir).Run() == nil }, patience, 100*time.Millisecond,
					"the gateway holds files on the dead disk:\n%s", holders(c.g.cmd.Process.Pid, disk.dir))
				time.Sleep(3 * time.Second) // the empty directory below is not taken for the store
				require.Empty(t, entries(t, disk.dir))
				disk.mend()
				_ = exec.Command("e2fsck", "-p", disk.file).Run() // status 1 says that it mended something
			} else {
				system(t, "umount", "-l", disk.dir)
				disk.copy()
			}
			disk.mount()
			c.flows()
			if sync != "always" {
				c.fleet.forget(at.Add(-4*time.Second), back)
			}
			code, _, stderr := tboxgate(t, "", "status", "--data-dir", data)
			require.Zero(t, code, "the admin socket: %s", stderr)
		}
		c.stop()
		c.fleet.requireStored(t, c.g.Addresses.NATS)
		_, metrics := get(t, "http://"+c.g.Addresses.Admin+"/metrics")
		require.Contains(t, metrics, fmt.Sprintf("tboxgate_store_restarts_total %d\n", 2*chaosRounds(t)))
		require.NoError(t, c.g.cmd.Process.Signal(os.Interrupt))
		require.Zero(t, c.g.exit(t), c.g.stderr.String())
	}
}

// forget takes the frames that were answered between two instants out of the account: they may be lost.
func (fl *crashFleet) forget(from, to time.Time) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	maps.DeleteFunc(fl.answered, func(_ string, at time.Time) bool { return at.After(from) && at.Before(to) })
}

// TestChaosExport fills the disk that an export is written to: nothing is left there, and with room again it is whole.
func TestChaosExport(t *testing.T) {
	url, _ := halfStore(t, 20_000, func(http.ResponseWriter, *http.Request) {})
	for _, format := range []string{"jsonl", "csv", "parquet"} {
		disk := mount(t, "-t", "tmpfs", "-o", "size=16k", "tmpfs")
		file := filepath.Join(disk, "out")
		args := []string{"export", "--addr", url, "--token", "t", "--format", format, "--output", file}
		code, _, stderr := tboxgate(t, "", args...)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "no space left on device")
		require.Empty(t, entries(t, disk))
		system(t, "mount", "-o", "remount,size=100m", disk)
		code, _, stderr = tboxgate(t, "", args...)
		require.Zero(t, code, stderr)
		require.Equal(t, []string{"out"}, entries(t, disk))
	}
}

// entries are the names in a directory.
func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// holders says which files below a directory a process has open.
func holders(pid int, dir string) string {
	var b strings.Builder
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, dir) {
			b.WriteString(to + "\n")
		}
	}
	return b.String()
}

// cluster is three NATS servers in this process.
type cluster struct {
	t     *testing.T
	nodes [3]*server.Server
	opts  [3]*server.Options
}

func startCluster(t *testing.T) *cluster {
	c := &cluster{t: t}
	var routes []string
	for i := range c.opts {
		ports := freePorts(t, 2)
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[1]))
		c.opts[i] = &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: ports[0], JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
			Cluster: server.ClusterOpts{Name: "chaos", Host: "127.0.0.1", Port: ports[1]},
		}
	}
	for i := range c.opts {
		c.opts[i].Routes = server.RoutesFromStr(strings.Join(routes, ","))
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.end(i)
		}
	})
	require.Eventually(t, func() bool {
		for _, n := range c.nodes {
			if n.JetStreamIsLeader() {
				return len(n.JetStreamClusterPeers()) == len(c.nodes)
			}
		}
		return false
	}, 3*patience, 20*time.Millisecond, "the cluster finds no leader")
	return c
}

// freePorts are ports that nobody listens on at the moment.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func (c *cluster) start(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.opts[i].Clone())
	require.NoError(c.t, err)
	go s.Start()
	require.True(c.t, s.ReadyForConnections(patience))
	c.nodes[i] = s
}

func (c *cluster) end(i int) {
	if c.nodes[i] != nil {
		c.nodes[i].Shutdown()
		c.nodes[i].WaitForShutdown()
		c.nodes[i] = nil
	}
}

func (c *cluster) urls() string {
	var all []string
	for _, o := range c.opts {
		all = append(all, fmt.Sprintf("nats://127.0.0.1:%d", o.Port))
	}
	return strings.Join(all, ",")
}

// TestChaosCluster takes brokers of a cluster of three away: without one it goes on, without two nothing is
// answered, and when they are back it goes on by itself.
func TestChaosCluster(t *testing.T) {
	nodes := startCluster(t)
	c := startChaos(t, steady, dataDir(t), fmt.Sprintf("nats: {url: %q, replicas: 3, maxBytes: 1GiB}\nsinks: [{type: nats, payload: raw}]\n", nodes.urls()))
	for range chaosRounds(t) {
		first := rand.IntN(3)
		second := (first + 1 + rand.IntN(2)) % 3
		nodes.end(first)
		c.flows()
		nodes.end(second)
		c.stands()
		nodes.start(first)
		c.flows()
		nodes.start(second)
		c.flows()
	}
	c.stop()
	c.fleet.requireStored(t, nodes.urls())
	require.NoError(t, c.g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, c.g.exit(t), c.g.stderr.String())
}

// TestChaosBrokerAway takes the only broker away, for a while and again, and in the end brings it back from
// an older copy of its disk: what was answered in between is gone with it, and the gateway goes on storing.
func TestChaosBrokerAway(t *testing.T) {
	nodes := &cluster{t: t}
	nodes.opts[0] = &server.Options{Host: "127.0.0.1", Port: freePorts(t, 1)[0], JetStream: true, StoreDir: filepath.Join(t.TempDir(), "store"), NoSigs: true, NoLog: true}
	nodes.start(0)
	t.Cleanup(func() { nodes.end(0) })
	url := fmt.Sprintf("nats://127.0.0.1:%d", nodes.opts[0].Port)
	c := startChaos(t, steady, dataDir(t), fmt.Sprintf("nats: {url: %q, maxBytes: 1GiB}\nsinks: [{type: nats, payload: raw, batch: {maxFrames: 64}}]\n", url))
	for range chaosRounds(t) {
		nodes.end(0)
		c.stands()
		nodes.start(0)
		c.flows()
	}
	store := nodes.opts[0].StoreDir
	nodes.end(0)
	c.stands()
	system(t, "cp", "-a", store, store+".old")
	copied := time.Now()
	nodes.start(0)
	c.flows()
	nodes.end(0)
	c.stands()
	lost := time.Now()
	require.NoError(t, os.RemoveAll(store))
	require.NoError(t, os.Rename(store+".old", store))
	nodes.start(0)
	c.flows()
	c.stop()

	stored := storedFrames(t, url)
	require.Zero(t, c.fleet.missing(stored, copied), "frames answered before the copy")
	gone := c.fleet.missing(stored, lost)
	require.Positive(t, gone, "the copy is not older")
	require.Equal(t, gone, c.fleet.missing(stored, time.Now()), "frames answered after the broker was back")
	t.Logf("%d frames answered, %d of them lost with the broker's disk", c.fleet.answeredFrames(), gone)
}
