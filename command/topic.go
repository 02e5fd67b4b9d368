package command

import (
	"context"
	"encoding/json"

	"github.com/tboxgate/tboxgate/session"
)

// ReasonQoS0 stands beside the state sent for a message that no device will acknowledge: it subscribes with QoS 0. The message is
// over with it.
const ReasonQoS0 Reason = "qos0"

// TopicRequest is a message to one topic of an MQTT device.
type TopicRequest struct {
	ProductKey string
	DeviceName string
	Topic      string
	Payload    []byte // for the event
	// RequestID and AccessKeyID say who asked, for the message's events.
	RequestID   string
	AccessKeyID string
	// MessageID is the id that another node has given the message; 0: this node gives it one.
	MessageID int64
}

// topicTask is a message to a topic on its way. It shares the ids, the results and the events of commands.
type topicTask struct {
	*task
	payload []byte
	begun   bool // its result is known to the dispatcher
	early   bool // it was over before that, with:
	lost    bool
}

// SendTopic follows a message to an MQTT device as Send does a command: it gives the message an id, has it handed over by hand,
// and keeps and announces its result. hand returns the QoS with which the device gets it; with QoS 1 it calls acked once, on
// any goroutine: with nil when the device has acknowledged, else with an error. The states are
//
//	sent ─┬▶ answered      the device acknowledged (QoS 1)
//	      └▶ disconnected  its connection ended first
//
// and with QoS 0 sent alone, with ReasonQoS0. The error is hand's, or one of this package as with Send; then nothing was sent.
func (d *Dispatcher) SendTopic(ctx context.Context, r TopicRequest, hand func(acked func(error)) (qos byte, err error)) (id int64, err error) {
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return 0, ErrClosed
	}
	if id = r.MessageID; id == 0 {
		if id, err = d.ids.next(ctx); err != nil {
			return 0, err
		}
	}
	t := &topicTask{payload: r.Payload, task: &task{done: make(chan struct{}), result: Result{
		MessageID: id, ProductKey: r.ProductKey, DeviceName: r.DeviceName, Topic: r.Topic, State: StateQueued, Node: d.o.Node,
		RequestID: r.RequestID, AccessKeyID: r.AccessKeyID, CreatedAt: d.now(),
	}}}
	qos, err := hand(func(err error) { d.topicEnded(t, err != nil) })
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	d.results.add(t.task)
	t.begun = true
	d.count(0, 1, 0)
	t.result.State, t.result.Sends, t.result.SentAt = StateSent, 1, d.now()
	if qos == 0 {
		t.result.Reason, t.result.EndedAt = ReasonQoS0, d.now()
	}
	d.topicChanged(t)
	switch {
	case qos == 0:
		d.topicOver(t)
	case t.early:
		d.endTopic(t)
	}
	d.mu.Unlock()
	d.out.flush()
	return id, nil
}

// topicEnded is the broker's last word on a message.
func (d *Dispatcher) topicEnded(t *topicTask, lost bool) {
	d.mu.Lock()
	t.lost = lost
	if t.begun {
		d.endTopic(t)
	} else {
		t.early = true // the device was faster than we
	}
	d.mu.Unlock()
	d.out.flush()
}

// endTopic ends a message that is sent. The dispatcher is locked.
func (d *Dispatcher) endTopic(t *topicTask) {
	r := &t.result
	r.EndedAt = d.now()
	if t.lost {
		r.State, r.Reason = StateDisconnected, Reason(session.ReasonPeerClosed)
	} else {
		r.State, r.AnsweredAt = StateAnswered, r.EndedAt
	}
	t.payload = nil // it stands in the first event
	d.topicChanged(t)
	d.topicOver(t)
}

func (d *Dispatcher) topicOver(t *topicTask) {
	d.count(0, -1, 0)
	close(t.done)
	d.results.over(t.task)
	d.trimResults()
}

// topicChanged announces and stores a change of a message's result.
func (d *Dispatcher) topicChanged(t *topicTask) {
	t.version++
	result := t.result
	body := encodeTopicEvent(&result, d.now(), t.payload)
	d.out.push(func() {
		d.o.PublishTopic(result.DeviceName, EventKind, body)
		d.o.Observe(result)
	})
	d.save(t.task)
}

// topicEvent is the JSON of the event of a message to a topic.
type topicEvent struct {
	MessageID   int64             `json:"messageId" schema:"min=1,max=9007199254740991"`
	ProductKey  string            `json:"productKey"`
	DeviceName  string            `json:"deviceName"`
	Command     string            `json:"command" schema:"const=message"`
	Topic       string            `json:"topic"`
	State       State             `json:"state"`
	At          session.Timestamp `json:"at"`
	RequestID   string            `json:"requestId"`
	AccessKeyID string            `json:"accessKeyId"`
	Reason      Reason            `json:"reason,omitempty" schema:"enum=Reason|session.Reason"` // why it ended so, where the state does not say all
	Node        string            `json:"node"`
	Payload     []byte            `json:"payload,omitempty"` // the message, in the first event
}

func encodeTopicEvent(r *Result, at session.Timestamp, payload []byte) []byte {
	body, _ := json.Marshal(topicEvent{ // texts, numbers and times always encode
		MessageID: r.MessageID, ProductKey: r.ProductKey, DeviceName: r.DeviceName, Command: r.CommandName(), Topic: r.Topic, State: r.State,
		At: at, RequestID: r.RequestID, AccessKeyID: r.AccessKeyID, Reason: r.Reason, Node: r.Node, Payload: payload,
	})
	return body
}

// CommandName is paramQuery, paramSet or control, and "message" for a message to an MQTT device.
func (r *Result) CommandName() string {
	if r.Topic != "" {
		return "message"
	}
	return r.Command.Name(r.Edition)
}

// Over reports whether nothing will change any more by itself: the state is final, or that of a message that nobody
// acknowledges.
func (r *Result) Over() bool {
	return r.State.Final() || r.State == StateSent && r.Reason == ReasonQoS0
}

// recoverTopic is what recoverOpen does with a message to a topic: its device's connection died with the gateway.
func (d *Dispatcher) recoverTopic(r Result) {
	r.State, r.Reason, r.EndedAt = StateDisconnected, Reason(session.ReasonGatewayRestart), d.now()
	t := &topicTask{task: &task{result: r, done: make(chan struct{})}, begun: true}
	d.results.add(t.task)
	d.count(0, 1, 0)
	d.topicChanged(t)
	d.topicOver(t)
}
