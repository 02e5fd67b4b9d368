package codec

// named returns "name 中文".
func named(name, zh string) string {
	if zh == "" {
		return name
	}
	return name + " " + zh
}

// commandChinese returns the standard's name of a command (2016 tables 3 and B.2, 2025 tables 3 and
// B.2), "" for an id that the edition does not assign.
func commandChinese(e Edition, c Command) string {
	if !c.Known(e) {
		return ""
	}
	switch c {
	case CommandVehicleLogin:
		return "车辆登入"
	case CommandRealtime:
		return "实时信息上报"
	case CommandReissue:
		return "补发信息上报"
	case CommandVehicleLogout:
		return "车辆登出"
	case CommandPlatformLogin:
		return "平台登入"
	case CommandPlatformLogout:
		return "平台登出"
	case CommandHeartbeat:
		return "心跳"
	case CommandTimeSync:
		return "终端校时"
	case CommandActivation:
		return "激活"
	case CommandActivationResponse:
		return "激活应答"
	case CommandKeyExchange:
		return "数据单元加密密钥交换"
	case CommandParamQuery:
		return "查询命令"
	case CommandParamSet:
		return "设置命令"
	case CommandControl:
		return "车载终端控制命令"
	}
	return ""
}

// flagChinese returns the standard's name of a flag (2016 table 4, 2025 table 4).
func flagChinese(f Flag) string {
	switch f {
	case FlagSuccess:
		return "成功"
	case FlagError:
		return "错误"
	case FlagVINDuplicate:
		return "VIN重复"
	case FlagVINUnknown:
		return "VIN不存在"
	case FlagSignatureError:
		return "验签错误"
	case FlagStructureError:
		return "数据结构错误"
	case FlagDecryptError:
		return "解密错误"
	case FlagCommand:
		return "命令"
	}
	return ""
}

// encryptionChinese returns what an encryption byte means, in Chinese.
func encryptionChinese(e Encryption) string {
	switch e {
	case EncryptionNone:
		return "不加密"
	case EncryptionAbnormal:
		return "异常"
	case EncryptionInvalid:
		return "无效"
	}
	return ""
}

// controlName returns what a terminal control does, "" for an id that is not assigned (2016 table
// B.14, 2025 table B.10).
func controlName(id ControlID) string {
	switch id {
	case ControlUpgrade:
		return "remote upgrade 远程升级"
	case ControlShutdown:
		return "shut the terminal down 车载终端关机"
	case ControlReset:
		return "reset the terminal 车载终端复位"
	case ControlFactoryReset:
		return "restore the factory settings 车载终端恢复出厂设置"
	case ControlDisconnect:
		return "drop the data link 断开数据通信链路"
	case ControlAlarm:
		return "alarm 车载终端报警/预警"
	case ControlSampling:
		return "open the sampling-monitoring link 开启抽样监测链路"
	}
	if id >= 0x80 && id != 0xFF {
		return "user-defined 用户自定义"
	}
	return ""
}

// names returns the names of a text of the upgrade (2016 table B.16).
func (u *Upgrade) names(key string) (name, zh string) {
	switch key {
	case "apn":
		return "dial-up point", "拨号点名称"
	case "username":
		return "dial-up user", "拨号用户名"
	case "password":
		return "dial-up password", "拨号密码"
	case "address":
		return "address of the server", "地址"
	case "manufacturer":
		return "id of the terminal's maker", "车载终端制造商ID"
	case "hardwareVersion":
		return "hardware version", "硬件版本"
	case "firmwareVersion":
		return "firmware version", "固件版本"
	}
	return "URL of the upgrade", "升级URL地址"
}
