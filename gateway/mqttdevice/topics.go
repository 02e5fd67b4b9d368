package mqttdevice

import (
	"fmt"
	"strings"
)

// Permission says what devices may do with a topic.
type Permission string

// The permissions.
const (
	Subscribe Permission = "subscribe" // the device receives
	Publish   Permission = "publish"   // the device sends
	Both      Permission = "both"
)

// Topic is a custom topic of a product's devices: a template below /{productKey}/{deviceName}/, in which + and # stand for
// levels as in a filter. "user/get" of device D is /{productKey}/D/user/get.
type Topic struct {
	Template   string
	Permission Permission
}

// Validate says what is wrong with the topic.
func (t Topic) Validate() error {
	switch {
	case t.Permission != Subscribe && t.Permission != Publish && t.Permission != Both:
		return fmt.Errorf("permission %q is none of subscribe, publish, both", t.Permission)
	case t.Template == "" || strings.HasPrefix(t.Template, "/"):
		return fmt.Errorf("topic %q: a template below /{productKey}/{deviceName}/ is wanted, such as user/get", t.Template)
	}
	levels := strings.Split(t.Template, "/")
	for i, level := range levels {
		if strings.ContainsAny(level, "+#") && len(level) > 1 || level == "#" && i < len(levels)-1 {
			return fmt.Errorf("topic %q: + stands for a whole level, # for all at the end", t.Template)
		}
	}
	return nil
}

// allowed reports whether a device may publish to a topic, or subscribe to a filter. Below /sys/{productKey}/{deviceName}/ it
// may do both; below /{productKey}/{deviceName}/ what the product's topics say, or both when it has none; elsewhere nothing.
func allowed(topics []Topic, productKey, deviceName, filter string, want Permission) bool {
	own := "/" + productKey + "/" + deviceName + "/"
	if rest, ok := strings.CutPrefix(filter, "/sys"+own); ok {
		return rest != ""
	}
	rest, ok := strings.CutPrefix(filter, own)
	if !ok || rest == "" {
		return false
	}
	for _, t := range topics {
		if (t.Permission == want || t.Permission == Both) && covers(t.Template, rest) {
			return true
		}
	}
	return len(topics) == 0
}

// covers reports whether every topic that matches the filter b matches the filter a. A topic is a filter that matches itself.
func covers(a, b string) bool {
	for {
		levelA, restA, moreA := strings.Cut(a, "/")
		levelB, restB, moreB := strings.Cut(b, "/")
		switch {
		case levelA == "#":
			return true
		case levelB == "#", levelA != "+" && levelA != levelB:
			return false
		case moreA && !moreB:
			return restA == "#" // a/# matches a
		case !moreA:
			return !moreB
		}
		a, b = restA, restB
	}
}
