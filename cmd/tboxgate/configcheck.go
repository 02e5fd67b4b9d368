package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// defaultSync is what nats.syncInterval is when nobody sets it.
const defaultSync = Sync(200 * time.Millisecond)

// devListen is where --dev listens for vehicles unless told otherwise.
const devListen = "127.0.0.1:8999"

// settle fills what depends on the machine or on --dev.
func (l *configLoader) settle(c *Config) {
	if c.Node == "" {
		c.Node, _ = os.Hostname()
	}
	if c.Node == "" {
		c.Node = "tboxgate"
	}
	if !c.Dev {
		return
	}
	if l.from.of("listeners") == "" {
		c.Listeners[0].Address = devListen
	}
	if l.from.of("dataDir") == "" {
		c.DataDir = "" // serve makes a temporary one
	}
	if l.from.of("drain.window") == "" {
		c.Drain.Window = 0
	}
	openFirst(c.Products)
}

// validate checks what one value alone cannot show.
func (l *configLoader) validate(c *Config) {
	bad := func(path, format string, args ...any) { l.fail(l.from.of(path), path, format, args...) }

	addresses := []struct{ path, address string }{
		{"api.address", c.API.Address}, {"admin.address", c.Admin.Address}, {"nats.listen", c.NATS.Listen},
	}
	for i, ln := range c.Listeners {
		path := fmt.Sprintf("listeners[%d].address", i)
		addresses = append(addresses, struct{ path, address string }{path, ln.Address})
	}
	for i, ln := range c.MQTT.Listeners {
		path := fmt.Sprintf("mqtt.listeners[%d].address", i)
		addresses = append(addresses, struct{ path, address string }{path, ln.Address})
	}
	for _, a := range addresses {
		if a.address == "" && a.path == "nats.listen" {
			continue // off
		}
		if err := checkAddress(a.address); err != nil {
			bad(a.path, "%v", err)
		} else if c.Dev && !isLoopback(a.address) {
			bad(a.path, "%q is not loopback, and --dev lets anybody in; use 127.0.0.1, [::1] or localhost", a.address)
		}
	}
	for i, ln := range c.Listeners {
		path, t := fmt.Sprintf("listeners[%d].tls", i), ln.TLS
		switch {
		case t == TLS{}: // plain TCP
		case t.Cert == "" || t.Key == "":
			bad(path, "cert and key go together")
		case t.RequireVINMatch && t.ClientCA == "":
			bad(path+".requireVinMatch", "clientCA is needed: without it no client shows a certificate")
		}
	}
	if t := c.API.TLS; t != (APITLS{}) && (t.Cert == "" || t.Key == "") {
		bad("api.tls", "cert and key go together")
	}
	if len(c.Listeners) == 0 {
		bad("listeners", "at least one is needed")
	}

	if c.Admin.Token == "" && !isLoopback(c.Admin.Address) {
		bad("admin.address", "%q is not loopback, so admin.token is needed", c.Admin.Address)
	}
	if c.Admin.Token != "" && len(c.Admin.Token) < 16 {
		bad("admin.token", "too short; at least 16 characters")
	}
	if (c.NATS.User == "") != (c.NATS.Password == "") {
		bad("nats.user", "nats.user and nats.password go together")
	}
	if strings.Contains(c.NATS.URL, "@") { // it would be printed with the rest of the address
		bad("nats.url", "it holds a user or a token; give nats.user and nats.password, or nats.credentialsFile")
	}
	if c.NATS.URL != "" && c.NATS.Listen != "" {
		bad("nats.listen", "nats.listen is for the embedded server, nats.url for an external one; one of them")
	}
	if c.NATS.URL == "" && c.NATS.CredentialsFile != "" {
		bad("nats.credentialsFile", "it is for an external server (nats.url)")
	}
	if c.NATS.URL == "" && c.NATS.TLS != (NATSTLS{}) {
		bad("nats.tls", "it is for an external server (nats.url)")
	}
	if (c.NATS.TLS.Cert == "") != (c.NATS.TLS.Key == "") {
		bad("nats.tls", "cert and key go together")
	}
	if c.NATS.URL != "" && c.NATS.SyncInterval != defaultSync {
		bad("nats.syncInterval", "it is for the embedded server; an external one has it in its own configuration (jetstream: sync_interval)")
	}
	if c.NATS.URL == "" && c.NATS.Replicas > 1 {
		bad("nats.replicas", "%d copies need an external cluster (nats.url)", c.NATS.Replicas)
	}
	if c.NATS.User == "" && c.NATS.Listen != "" && !isLoopback(c.NATS.Listen) {
		bad("nats.listen", "%q is not loopback, so nats.user and nats.password are needed", c.NATS.Listen)
	}

	l.checkSinks(c, bad)
	checkProducts(c, bad)
	checkMQTT(c, bad)
	if c.Dev {
		return
	}
	if c.DataDir == "" {
		bad("dataDir", "must not be empty")
	}
}

// checkAddress wants HOST:PORT; the host may be empty (all addresses), a name or an IP address.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%q: the port is a number from 0 to 65535", address)
	}
	if strings.ContainsAny(host, " /\t") {
		return fmt.Errorf("%q is not HOST:PORT", address)
	}
	return nil
}

// isLoopback says that only this machine can reach the address. A name other than localhost counts as outside.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
