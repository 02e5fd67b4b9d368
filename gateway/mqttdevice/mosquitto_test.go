//go:build mosquitto

package mqttdevice_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/session/memkv"
)

// TestMosquitto: the clients that people try brokers with, in the three versions of the protocol.
func TestMosquitto(t *testing.T) {
	for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		t.Run(version, func(t *testing.T) {
			b := newBench(t, memkv.New(), "n1")
			b.register(t, "D001")
			_, port, _ := strings.Cut(b.Addrs()[0], ":")
			mac := hmac.New(md5.New, []byte(b.secrets["D001"]))
			mac.Write([]byte("clientIdm1deviceNameD001productKey" + product + "timestamp1"))
			args := func(more ...string) []string {
				return append([]string{"-h", "127.0.0.1", "-p", port, "-V", version, "-i", "m1|securemode=2,signmethod=hmacmd5,timestamp=1|",
					"-u", "D001&" + product, "-P", hex.EncodeToString(mac.Sum(nil))}, more...)
			}
			out, err := exec.Command("mosquitto_pub", args("-q", "1", "-t", "/"+product+"/D001/user/update", "-m", "up")...).CombinedOutput()
			require.NoError(t, err, string(out))
			b.eventually(t, &b.stored, "D001 /"+product+"/D001/user/update 1 up")
			out, err = exec.Command("mosquitto_pub", args("-q", "2", "-t", "/"+product+"/D001/user/update", "-m", "twice")...).CombinedOutput()
			require.NoError(t, err, string(out))
			b.eventually(t, &b.stored, "D001 /"+product+"/D001/user/update 1 up", "D001 /"+product+"/D001/user/update 2 twice")

			get := "/" + product + "/D001/user/get"
			sub := exec.Command("mosquitto_sub", args("-q", "1", "-C", "1", "-v", "-t", get)...)
			lines, err := sub.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, sub.Start())
			acked := make(chan error, 1)
			require.Eventually(t, func() bool {
				_, err := b.Deliver(product, "D001", get, []byte("down"), func(err error) { acked <- err })
				return err == nil
			}, patience, 10*time.Millisecond)
			line, err := bufio.NewReader(lines).ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, get+" down\n", line)
			require.NoError(t, <-acked)
			require.NoError(t, sub.Wait())
		})
	}
}
