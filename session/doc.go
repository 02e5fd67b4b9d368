// Package session knows who is connected and who may connect: the table of live sessions by VIN,
// the presence events that it gives rise to, the registry of devices, the platforms with their
// credentials, and the login rules.
//
// It never touches a socket. A connection is a [Link], implemented by package gateway; storage is a
// [KV], implemented by package gateway/sink/nats and, in memory, by package session/memkv.
//
// The way of a login: the gateway asks the [Gate] whether the vehicle may log in, builds a
// [Session] and gives it to [Table.Login]. The table ends the session that it displaces, reports
// both changes as [PresenceEvent], and the event's receiver hands them to [Registry.Note], which
// writes them to the store in the background.
//
//	frame 0x01 ──▶ Gate.Vehicle ──▶ Table.Login ──▶ PresenceEvent ──▶ Registry.Note ──▶ KV
//	                   │ Refusal                         └──────────▶ event stream
//	                   ▼
//	            answer with Refusal.Flag
package session
