package datadir

// ours has nothing to ask: lock refuses every directory.
func ours(string, int) error { return nil }
