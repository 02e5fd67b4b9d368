package relay

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/session"
)

// question is what one node asks of another: to send a command to a vehicle, or a message to a topic of an MQTT device.
type question struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Until int64  `json:"until"` // Unix milliseconds: not to be taken on later

	MessageID   int64         `json:"messageId"`
	ProductKey  string        `json:"productKey"`
	DeviceName  string        `json:"deviceName"`
	Command     codec.Command `json:"command,omitempty"`
	Topic       string        `json:"topic,omitempty"`
	Unit        []byte        `json:"unit"` // or the topic's payload
	RequestID   string        `json:"requestId,omitempty"`
	AccessKeyID string        `json:"accessKeyId,omitempty"`
}

// answer says that a node has taken a command on, or why not.
type answer struct {
	MessageID int64  `json:"messageId"`
	Refusal   string `json:"refusal,omitempty"`
}

// What the sealed texts are for.
const (
	forQuestion = "relay question "
	forAnswer   = "relay answer"
)

var errForeign = errors.New("it is of another question")

func (q *question) seal(s Sealer) []byte {
	text, _ := json.Marshal(q) // numbers, texts and bytes: it cannot fail
	return s.Seal(text, forQuestion+q.To)
}

// room is how long the unit of a question may be that has so many bytes when it is sealed, for it to have limit at most.
func (q *question) room(sealed, limit int) int {
	rest := sealed - base64.StdEncoding.EncodedLen(len(q.Unit))
	return max(limit-rest, 0) / 4 * 3
}

func openQuestion(s Sealer, sealed []byte, node string) (q question, err error) {
	text, err := s.Open(sealed, forQuestion+node)
	if err != nil {
		return q, err
	}
	return q, json.Unmarshal(text, &q)
}

func (a answer) seal(s Sealer) []byte {
	text, _ := json.Marshal(a)
	return s.Seal(text, forAnswer)
}

func openAnswer(s Sealer, sealed []byte, id int64) (a answer, err error) {
	text, err := s.Open(sealed, forAnswer)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, err
	}
	if a.MessageID != id {
		return a, errForeign
	}
	return a, nil
}

// result is what is known of a command once a node was asked to send it.
func (q *question) result(node string, at time.Time) command.Result {
	return command.Result{
		MessageID: q.MessageID, ProductKey: q.ProductKey, DeviceName: q.DeviceName, Command: q.Command, Topic: q.Topic, State: command.StateQueued,
		RequestID: q.RequestID, AccessKeyID: q.AccessKeyID, Node: node, CreatedAt: session.At(at),
	}
}

// Names of errors between nodes. A name that is not known stands for an error of the node itself.
const (
	refusalLate  = "late"
	refusalTwice = "twice" // of this question's repetition; what became of the first it does not say
	refusalOther = "other"
)

// refusals of package command.
func refusals() map[string]error {
	return map[string]error{
		"offline": command.ErrOffline, "queueFull": command.ErrQueueFull, "command": command.ErrCommand, "unitTooLong": command.ErrUnitTooLong,
		"closed": command.ErrClosed, "store": command.ErrStore,
	}
}

// nameOf is an error's name, "" for none.
func (r *Relay) nameOf(err error) string {
	if err == nil {
		return ""
	}
	for _, m := range []map[string]error{r.o.Refusals, refusals()} {
		for name, kind := range m {
			if errors.Is(err, kind) {
				return name
			}
		}
	}
	return refusalOther
}

// refusal is the error that a name stands for.
func (r *Relay) refusal(name string) error {
	if name == "" {
		return nil
	}
	for _, m := range []map[string]error{r.o.Refusals, refusals()} {
		if err := m[name]; err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: it says %q", command.ErrStore, name) // nothing was sent
}
