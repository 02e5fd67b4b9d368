package codec_test

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/tboxgate/tboxgate/codec"
)

// The leaves of a report with their place, meaning and problems.
func ExampleDissect() {
	b, _ := hex.DecodeString("232302fe4c5445535432323333383835393330323101000c120a1e1424000401fffeea611e")
	f, err := codec.ParseFrame(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	codec.Dissect(f).Walk(func(n *codec.Node, depth int) {
		if !n.Leaf() || !strings.HasPrefix(n.Path, "info") {
			return
		}
		fmt.Println(n.Offset, n.Path, n.Chinese, n.Raw, strings.TrimSpace(n.Value+" "+n.Unit), n.Meaning, n.Problems)
	})
	// Output:
	// 30 info[0].type 信息类型标志 4 0x04 engine []
	// 31 info[0].state 发动机状态 1 1 started []
	// 32 info[0].crankshaftSpeed 曲轴转速 65534  abnormal []
	// 34 info[0].fuelConsumption 燃料消耗率 60001 600.01 L/100 km  [outOfRange]
}

// A frame as a person reads it.
func ExampleAppendDump() {
	b, _ := hex.DecodeString("232304fe4c54455354343932323738323536393736010008120a1e142411001491")
	f, err := codec.ParseFrame(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(codec.AppendDump(nil, f)))
	// Output:
	// 00000  23 23                   start 起始符                                   "##" GB/T 32960.3-2016
	// 00002  04                      command 命令标识                               4 → vehicleLogout 车辆登出
	// 00003  FE                      flag 应答标志                                  254 → command 命令
	// 00004  4C 54 45 53 54 34 39 32 vin 唯一识别码                                 "LTEST492278256976"
	// 0000C  32 37 38 32 35 36 39 37 36
	// 00015  01                      encryption 数据单元加密方式                    1 → none 不加密
	// 00016  00 08                   length 数据单元长度                            8 bytes
	// 00018                          data unit 数据单元                             8 bytes
	// 00018  12 0A 1E 14 24 11         time 登出时间                                2018-10-30T20:36:17+08:00
	// 0001E  00 14                     serial 登出流水号                            20
	// 00020  91                      check 校验码                                   0x91
}
