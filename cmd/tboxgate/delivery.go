package main

import (
	"time"

	"github.com/tboxgate/tboxgate/command"
)

// Commands says how commands are delivered to vehicles.
type Commands struct {
	QueueLength     int           `key:"queueLength" default:"16" min:"1" doc:"Commands of a kind (query, setting, control) that may wait behind the one that a vehicle is to answer; what is beyond is answered iot.messagebroker.RateLimit."`
	PendingBytes    Size          `key:"pendingBytes" default:"64MiB" min:"64KiB" doc:"Data units of all commands that are not over."`
	QuerySends      int           `key:"querySends" default:"3" min:"1" doc:"How often a query (0x80) is sent while no answer comes. 2016 B.2.2: after three without answer the platform gives up."`
	QueryInterval   time.Duration `key:"queryInterval" default:"30s" min:"100ms" doc:"Between two sends of a query, and from the last one to giving up."`
	SetSends        int           `key:"setSends" default:"3" min:"1" doc:"The same for a setting (0x81)."`
	SetInterval     time.Duration `key:"setInterval" default:"30s" min:"100ms" doc:"The same for a setting."`
	ControlSends    int           `key:"controlSends" default:"3" min:"1" doc:"The same for a control (0x82). Remote upgrade, shutdown and reset are sent once whatever stands here."`
	ControlInterval time.Duration `key:"controlInterval" default:"1m" min:"100ms" doc:"The same for a control, also for those that are sent once."`
	LateAnswers     time.Duration `key:"lateAnswers" default:"5m" min:"1s" doc:"How long after it ended a command may still be answered."`
}

// dispatcher is the part of the dispatcher's options that is configured.
func (c *Commands) dispatcher() command.Options {
	return command.Options{
		QueueLength: c.QueueLength, MaxPendingBytes: int(c.PendingBytes), LateWindow: c.LateAnswers,
		Resend: command.ResendPlan{
			Query:   command.Resend{Sends: c.QuerySends, Interval: c.QueryInterval},
			Set:     command.Resend{Sends: c.SetSends, Interval: c.SetInterval},
			Control: command.Resend{Sends: c.ControlSends, Interval: c.ControlInterval},
			Once:    command.Resend{Sends: 1, Interval: c.ControlInterval},
		},
	}
}
