// Package probe tests whether a gateway keeps to GB/T 32960.3. It connects as a vehicle or a platform
// does and knows nothing of the gateway but its address: any gateway may be tested.
//
// [Cases] are the named cases, each with what it expects and the clauses of both editions that say so.
// [Run] plays them, and each [Result] tells what was sent and received, byte for byte. Where the
// standard leaves a choice a case accepts all that it allows and says which was seen.
//
// A VIN that the gateway knows is needed, and nobody else may use it meanwhile: the cases log in as it,
// report, and activate it. Use one that belongs to no real vehicle.
package probe
