package admin

import (
	"net/http"
	"net/http/pprof"
	runtimepprof "runtime/pprof"
)

// profile serves the profiles of the Go runtime: profile (CPU, ?seconds=N), trace, heap, allocs, goroutine, … They
// hold names of functions and numbers, nothing of a vehicle. The command line, which may hold secrets, is not among them.
func profile(w http.ResponseWriter, r *http.Request) {
	switch name := r.PathValue("name"); {
	case name == "profile":
		pprof.Profile(w, r)
	case name == "trace":
		pprof.Trace(w, r)
	case runtimepprof.Lookup(name) != nil:
		pprof.Handler(name).ServeHTTP(w, r)
	default:
		writeError(w, http.StatusNotFound, "no profile of this name; there are profile, trace, heap, allocs, goroutine, mutex, block, threadcreate")
	}
}
