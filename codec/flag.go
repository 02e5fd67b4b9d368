package codec

// Flag is the response flag of a frame (2016 table 4, 2025 table 4). A frame whose flag is not
// FlagCommand is an answer and is never answered itself.
type Flag byte

// The response flags. 0x04 to 0x07 are new in the 2025 edition.
const (
	FlagSuccess        Flag = 0x01
	FlagError          Flag = 0x02
	FlagVINDuplicate   Flag = 0x03
	FlagVINUnknown     Flag = 0x04
	FlagSignatureError Flag = 0x05
	FlagStructureError Flag = 0x06
	FlagDecryptError   Flag = 0x07
	FlagCommand        Flag = 0xFE // the frame is a command, not an answer
)

// String returns the flag's JSON name ("success"), the same in both editions; a value without a
// name is written in hex ("0x1F").
func (f Flag) String() string {
	switch f {
	case FlagSuccess:
		return "success"
	case FlagError:
		return "error"
	case FlagVINDuplicate:
		return "vinDuplicate"
	case FlagVINUnknown:
		return "vinUnknown"
	case FlagSignatureError:
		return "signatureError"
	case FlagStructureError:
		return "structureError"
	case FlagDecryptError:
		return "decryptError"
	case FlagCommand:
		return "command"
	}
	return hexName(byte(f))
}

// ParseFlag is the inverse of [Flag.String]: a name, or any value as "0x1F". The error is ErrName.
func ParseFlag(name string) (Flag, error) {
	if b, ok := parseHexName(name); ok {
		return Flag(b), nil
	}
	for _, f := range [...]Flag{
		FlagCommand, FlagSuccess, FlagError, FlagVINDuplicate, FlagVINUnknown, FlagSignatureError,
		FlagStructureError, FlagDecryptError,
	} {
		if f.String() == name {
			return f, nil
		}
	}
	return 0, nameError("flag", name)
}

// Encryption is the encryption byte of a frame, which covers the data unit only. It is also the
// encryption rule of a platform login.
type Encryption byte

// The encryption bytes (2016 table 2: 1 to 3, 2025 table 2: 1 to 5). Frames with 0x00 occur and
// are plain too.
const (
	EncryptionNone     Encryption = 0x01
	EncryptionRSA      Encryption = 0x02
	EncryptionAES      Encryption = 0x03
	EncryptionSM2      Encryption = 0x04
	EncryptionSM4      Encryption = 0x05
	EncryptionAbnormal Encryption = 0xFE
	EncryptionInvalid  Encryption = 0xFF
)

// Plain reports whether a data unit under this byte is readable as it stands: 0x01, and 0x00,
// which real fleets send for it.
func (e Encryption) Plain() bool { return e <= EncryptionNone }

// String returns the JSON name ("none"), the same in both editions; a value without a name is
// written in hex ("0x00").
func (e Encryption) String() string {
	switch e {
	case EncryptionNone:
		return "none"
	case EncryptionRSA:
		return "rsa"
	case EncryptionAES:
		return "aes"
	case EncryptionSM2:
		return "sm2"
	case EncryptionSM4:
		return "sm4"
	case EncryptionAbnormal:
		return "abnormal"
	case EncryptionInvalid:
		return "invalid"
	}
	return hexName(byte(e))
}

// ParseEncryption is the inverse of [Encryption.String]: a name, or any value as "0x00". The error
// is ErrName.
func ParseEncryption(name string) (Encryption, error) {
	if b, ok := parseHexName(name); ok {
		return Encryption(b), nil
	}
	for _, e := range [...]Encryption{
		EncryptionNone, EncryptionRSA, EncryptionAES, EncryptionSM2, EncryptionSM4,
		EncryptionAbnormal, EncryptionInvalid,
	} {
		if e.String() == name {
			return e, nil
		}
	}
	return 0, nameError("encryption", name)
}
