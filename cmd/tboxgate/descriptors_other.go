//go:build !linux && !darwin

package main

// enoughDescriptors has no limit to compare with.
func enoughDescriptors(int) error { return nil }
