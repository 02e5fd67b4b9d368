package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Space is how much room the store has for records, as far as it is known.
type Space struct {
	Streams  []StreamSpace
	DiskFree int64 // bytes; negative: not this machine's disk
}

// StreamSpace is the room of one stream of records.
type StreamSpace struct {
	Stream   string
	Bytes    int64
	MaxBytes int64
	Age      time.Duration // of the oldest record
	Kept     time.Duration // how long records are kept at this rate
	Left     time.Duration // until the bytes are used up
}

var (
	descSpaceBytes = desc("store_bytes", "Bytes of stored records, by stream.", "stream")
	descSpaceMost  = desc("store_max_bytes", "Bytes that records may take, by stream; beyond them the oldest go.", "stream")
	descSpaceAge   = desc("store_oldest_record_age_seconds", "Age of the oldest stored record, by stream.", "stream")
	descSpaceKept  = desc("store_kept_seconds", "How long records are kept at the present rate, by stream: nats.maxAge, or less when nats.maxBytes does not last so long.", "stream")
	descSpaceLeft  = desc("store_room_seconds", "Time until nats.maxBytes is reached at the present rate, by stream; 0: the oldest records go as new ones come.", "stream")
	descDiskFree   = desc("store_disk_free_bytes", "Free bytes of the disk of the embedded store; when there are none, answers stop.")
)

// spaceDescs are the descriptions of this file.
func spaceDescs() []*prometheus.Desc {
	return []*prometheus.Desc{descSpaceBytes, descSpaceMost, descSpaceAge, descSpaceKept, descSpaceLeft, descDiskFree}
}

// collect sends what is known.
func (s Space) collect(ch chan<- prometheus.Metric) {
	for _, st := range s.Streams {
		for d, v := range map[*prometheus.Desc]float64{
			descSpaceBytes: float64(st.Bytes), descSpaceMost: float64(st.MaxBytes), descSpaceAge: st.Age.Seconds(),
			descSpaceKept: st.Kept.Seconds(), descSpaceLeft: st.Left.Seconds(),
		} {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, st.Stream)
		}
	}
	if s.DiskFree >= 0 {
		ch <- prometheus.MustNewConstMetric(descDiskFree, prometheus.GaugeValue, float64(s.DiskFree))
	}
}
