// Package stream reads what the gateway has stored: the frames in NATS JetStream, in either layout.
//
//	GBT32960        gbt32960.up.<vin>.<command>   one message a frame     ──▶ Parse ──▶ one Record
//	GBT32960_BATCH  gbt32960.batch.<pp>           many frames a message   ──▶ Parse ──▶ many Records
//
// [Parse] and [Record] know bytes only, whichever client fetched the message. [Read] fetches them with
// NATS' own client, from a time or a position, by VIN and command, and may follow what comes.
// [Gaps] and [Merge] answer questions about a vehicle's reports.
//
// A record gives the frame's JSON and the frame's bytes whatever the payload it was stored with was:
// the codec turns one into the other without loss.
package stream
