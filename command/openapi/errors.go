package openapi

import (
	"fmt"
	"net/http"
	"net/url"
)

// docsURL is where the Recommend member of a front-end error points to.
const docsURL = "https://github.com/tboxgate/tboxgate/blob/main/docs/api.md"

// frontError is a failure of the front end: the call was refused before any operation saw it. It is answered with its HTTP
// status and {RequestId, HostId, Code, Message, Recommend}; codes, messages and statuses are Alibaba Cloud's.
type frontError struct {
	status  int
	code    string
	message string
}

func (e *frontError) Error() string { return e.code + ": " + e.message }

func (e *frontError) recommend() string {
	return docsURL + "?q=" + url.QueryEscape(e.code) + "#front-end-errors"
}

func front(status int, code, message string) *frontError {
	return &frontError{status: status, code: code, message: message}
}

var (
	errActionNotFound     = front(http.StatusNotFound, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
	errKeyNotFound        = front(http.StatusNotFound, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
	errKeySealed          = front(http.StatusNotFound, "InvalidAccessKeyId.NotFound", "Specified access key cannot be used: its secret was sealed with another seal key than the gateway has. Ask the gateway's operator; the gateway's log says what to do.")
	errKeyInactive        = front(http.StatusBadRequest, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
	errTimeFormat         = front(http.StatusBadRequest, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
	errTimeExpired        = front(http.StatusBadRequest, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
	errNonceUsed          = front(http.StatusBadRequest, "SignatureNonceUsed", "Specified signature nonce was used already.")
	errFormat             = front(http.StatusBadRequest, "InvalidParameter.Format", "Specified parameter format is not valid. Format is JSON or XML.")
	errVersion            = front(http.StatusBadRequest, "InvalidVersion", "Specified parameter Version is not valid. This API is version "+apiVersion+".")
	errSignatureMethod    = front(http.StatusBadRequest, "InvalidSignatureMethod", "Specified signature method is not valid.")
	errSignatureVersion   = front(http.StatusBadRequest, "InvalidSignatureVersion", "Specified signature version is not valid.")
	errSignatureMismatch  = front(http.StatusBadRequest, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation.")
	errContentHash        = front(http.StatusBadRequest, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation. x-acs-content-sha256 is not the SHA-256 of the request body.")
	errKeyExpired         = front(http.StatusBadRequest, "InvalidAccessKeyId.Inactive", "Specified access key is expired.")
	errNoSecurityToken    = front(http.StatusBadRequest, "InvalidSecurityToken.NotSupported", "The access key has no security token, so calls with one are refused. Call without SecurityToken, or use a temporary key of the gateway.")
	errSecurityToken      = front(http.StatusBadRequest, "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken mismatch with the AccessKey.")
	errTokenExpired       = front(http.StatusBadRequest, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
	errThrottled          = front(http.StatusBadRequest, "Throttling.User", "Request was denied due to user flow control.")
	errTooManyCalls       = front(http.StatusBadRequest, "Throttling.Api", "Request was denied due to api flow control. Too many calls are under way.")
	errParamEncoding      = front(http.StatusBadRequest, "InvalidParameter.Encoding", "The parameters are not well percent-encoded.")
	errContentType        = front(http.StatusUnsupportedMediaType, "UnsupportedContentType", "The request body must be "+formType+".")
	errBodyCut            = front(http.StatusBadRequest, "IncompleteBody", "The request body ended early.")
	errInternal           = front(http.StatusInternalServerError, "InternalError", "The request processing has failed due to some unknown error. Nothing was sent to the vehicle.")
	errServiceUnavailable = front(http.StatusServiceUnavailable, "ServiceUnavailable", "The request has failed due to a temporary failure of the gateway. Nothing was sent to the vehicle.")
)

func errMissing(parameter string) *frontError {
	return front(http.StatusBadRequest, "Missing"+parameter, parameter+" is mandatory for this action.")
}

func errParamRepeated(name string) *frontError {
	return front(http.StatusBadRequest, "InvalidParameter.Repeated", fmt.Sprintf("The parameter %q is given more than once.", name))
}

func errBodyTooLarge(limit int64) *frontError {
	return front(http.StatusRequestEntityTooLarge, "RequestTooLarge", fmt.Sprintf("The request body is larger than %d bytes.", limit))
}

func errUnsigned(header string) *frontError {
	return front(http.StatusBadRequest, "SignatureDoesNotMatch", errSignatureMismatch.message+" The header "+header+" must be signed.")
}

// businessError is a failure of an operation that was reached: HTTP 200 (or the setting BusinessErrorStatus) with
// Success false, Code and ErrorMessage.
type businessError struct {
	code    string
	message string
}

func (e *businessError) Error() string { return e.code + ": " + e.message }

// The codes of the AsyncRRpc page with its exact messages, and those of its sibling pages that fit what it leaves open.
var (
	errNullProductKey    = &businessError{"iot.prod.NullProductKey", "The ProductKey is empty."}
	errBadProductKey     = &businessError{"iot.prod.InvalidFormattedProductkey", "The ProductKey format is incorrect."}
	errNoProduct         = &businessError{"iot.prod.NotExistedProduct", "The product does not exist."}
	errNoInstance        = &businessError{"iot.system.InstanceNotFound", "The instance does not exist. IotInstanceId must be that of the product's settings."}
	errNoBroker          = &businessError{"iot.common.APINotSupportedInInstance", "The product is one of MQTT devices, and this gateway runs no MQTT broker."}
	errNotSubscribed     = &businessError{"iot.messagebroker.NotSubscribed", "The device does not subscribe to the topic."}
	errNullDeviceName    = &businessError{"iot.device.NullDeviceName", "The deviceName is empty."}
	errBadDeviceName     = &businessError{"iot.device.InvalidFormattedDeviceName", "The deviceName format is incorrect."}
	errInactiveDevice    = &businessError{"iot.device.InactiveDevice", "The device is inactive."}
	errOfflineDevice     = &businessError{"iot.device.OfflineDevice", "The device is offline."}
	errDisabledDevice    = &businessError{"iot.device.DisabledDevice", "The device is disabled."}
	errNoDevice          = &businessError{"iot.Device.NotExistedDevice", "This device does not exist."}
	errNotExisted        = &businessError{"iot.device.NotExistedDevice", "This device does not exist."} // the siblings' pages spell it so
	errNotVehicles       = &businessError{"iot.common.APINotSupportedInInstance", "The product is one of MQTT devices; this operation is for vehicles. See tboxgate devices."}
	errNoTopicRRpc       = &businessError{"iot.common.APINotSupportedInInstance", "The product is one of MQTT devices; RRpc is for vehicles. Call AsyncRRpc."}
	errTimeoutValue      = &businessError{"iot.messagebroker.InvalidTimeoutValue", "Timeout must be a number of milliseconds from 1000 to 8000."}
	errNullContent       = &businessError{"iot.messagebroker.NullMessageContent", "Message content cannot be empty."}
	errContentBase64     = &businessError{"iot.messagebroker.MessageContentIsNotBase64Encode", "The message content is not base64 encoded."}
	errQueueFull         = &businessError{"iot.messagebroker.RateLimit", "Too many commands of this kind are waiting for this device. Try again later."}
	errResultNotFound    = &businessError{"iot.messagebroker.NotExistedMessage", "There is no command with this MessageId for this product, or it is older than 7 days."}
	errAfterSend         = &businessError{"iot.system.SystemException", "The command was sent; what became of it cannot be told at the moment."}
	errResultUnavailable = &businessError{"iot.system.SystemException", "The command results cannot be read at the moment."}
)

// notOfProduct is the code for what the settings of a product forbid.
func notOfProduct(format string, args ...any) *businessError {
	return &businessError{"iot.common.AuthActionPermissionDeny", fmt.Sprintf(format, args...)}
}

// badParameter is the code for parameters that are present but wrong and have no code of their own on any public page.
func badParameter(format string, args ...any) *businessError {
	return &businessError{"iot.common.InvalidFormattedParameter", fmt.Sprintf(format, args...)}
}
