package metrics

import "github.com/tboxgate/tboxgate/codec"

// Outcome says what became of a good frame.
type Outcome uint8

// The outcomes of a frame whose length and check byte are right.
const (
	FrameStored   Outcome = iota // handed to the store; its answer waits for the confirmation
	FrameAnswered                // answered, not stored: heartbeat, time sync
	FrameRefused                 // answered with an error or not at all, not stored: before a login, wrong VIN, refused login
	FrameIgnored                 // nothing to do: an answer that nobody waits for and that is not stored
	outcomes
)

var outcomeNames = [outcomes]string{"stored", "answered", "refused", "ignored"}

// String returns the label's value.
func (o Outcome) String() string { return outcomeNames[o] }

// BadReason says why bytes or a frame were refused.
type BadReason uint8

// The reasons why input is bad. The first three are the framer's.
const (
	BadStart     BadReason = iota // bytes before a start mark
	BadLength                     // an impossible length
	BadCheck                      // a wrong check byte
	BadFirst                      // the first frame is none that may open a connection
	BadVIN                        // another VIN than the link's
	BadStructure                  // refused by onStructureError
	BadTime                       // no readable time
	BadRate                       // a vehicle's report beyond its frame rate
	BadEncrypted                  // its data unit is encrypted, so nobody here can read its time
	badReasons
)

var badNames = [badReasons]string{"start", "length", "check", "firstFrame", "vin", "structure", "time", "rate", "encrypted"}

// String returns the label's value.
func (r BadReason) String() string { return badNames[r] }

// CloseReason says why a connection ended.
type CloseReason uint8

// The reasons why a connection ends.
const (
	CloseOther        CloseReason = iota
	ClosePeer                     // the peer closed or reset it
	CloseLogout                   // after a logout
	CloseLoginTimeout             // no login within the deadline
	CloseIdle                     // silent for longer than the idle limit
	CloseRefused                  // the login was refused
	CloseProtocol                 // too many bad frames in a row, or a first frame that is none
	CloseSlowReader               // the peer does not read its answers
	CloseOverflow                 // the peer sent on past the cap while the store was slow
	CloseTakeover                 // the VIN logged in on another connection
	CloseKicked                   // an operator asked
	CloseDrain                    // the gateway stops
	ClosePanic                    // a fault of ours, kept to this connection
	closeReasons
)

var closeNames = [closeReasons]string{"other", "peerClosed", "logout", "loginTimeout", "idle", "refused",
	"protocolError", "slowReader", "overflow", "takeover", "kicked", "drain", "panic"}

// String returns the label's value.
func (r CloseReason) String() string { return closeNames[r] }

// CloseReasonOf returns the reason of a name, such as a session.Reason; CloseOther for a name it does not know.
func CloseReasonOf(name string) CloseReason {
	for i, n := range closeNames {
		if n == name {
			return CloseReason(i)
		}
	}
	return CloseOther
}

// PauseReason says which bound made a connection's input wait for the store.
type PauseReason uint8

// The bounds that make input wait.
const (
	PauseWindow   PauseReason = iota // limits.window or limits.windowBytes, of the connection
	PauseInFlight                    // limits.inFlightBytes, of all connections together
	pauseReasons
)

var pauseNames = [pauseReasons]string{"window", "inFlightBytes"}

// String returns the label's value.
func (r PauseReason) String() string { return pauseNames[r] }

// Encrypted frames are counted by method: one for each that the standards name (2025 table 3), and 0 for all others.
const methods = 7

var methodNames = [methods]string{"other", "rsa", "aes", "sm2", "sm4", "abnormal", "invalid"}

func methodOf(e codec.Encryption) int {
	switch e {
	case codec.EncryptionRSA, codec.EncryptionAES, codec.EncryptionSM2, codec.EncryptionSM4:
		return int(e-codec.EncryptionRSA) + 1
	case codec.EncryptionAbnormal:
		return 5
	case codec.EncryptionInvalid:
		return 6
	}
	return 0
}

// Frames are counted by class: one for each command the standards name, and class 0 for all others.
const classes = 15

var classNames = [classes]string{"other", "vehicleLogin", "realtime", "reissue", "vehicleLogout", "platformLogin",
	"platformLogout", "heartbeat", "timeSync", "activation", "activationResponse", "keyExchange",
	"paramQuery", "paramSet", "control"}

// classOf gives the class of a command byte in an edition (0: 2016, 1: 2025). 0x09–0x0B are commands in 2025 only.
func classOf(edition int, command codec.Command) int {
	switch {
	case command >= codec.CommandVehicleLogin && command <= codec.CommandTimeSync:
		return int(command)
	case command >= codec.CommandActivation && command <= codec.CommandKeyExchange && edition == 1:
		return int(command)
	case command >= codec.CommandParamQuery && command <= codec.CommandControl:
		return 12 + int(command-codec.CommandParamQuery)
	}
	return 0
}

// flagNames are the response flags' names by byte; 0 stands for all others.
var flagNames = [8]string{"other", "success", "error", "vinDuplicate", "vinUnknown", "signatureError",
	"structureError", "decryptError"}

var editionNames = [2]string{"2016", "2025"}
