package openapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
)

// Right is one thing that an access key may do.
type Right string

// The rights.
const (
	RightQuery   Right = "query"   // send queries (0x80)
	RightSet     Right = "set"     // send settings (0x81)
	RightControl Right = "control" // send controls (0x82)
	RightPublish Right = "publish" // send messages to the topics of MQTT devices
	RightRead    Right = "read"    // ask for devices, their state and the results of all commands
	RightImport  Right = "import"  // register and delete devices
)

// rights are all of them, in the order in which they are written.
var rights = [...]Right{RightQuery, RightSet, RightControl, RightPublish, RightRead, RightImport}

// Grant says what an access key may do. The zero Grant: everything, with every product.
type Grant struct {
	Products []string // product keys; none: all
	Allow    []Right  // none: all
}

// MakeGrant checks product keys and rights as people write them. The error matches ErrKeyGrant.
func MakeGrant(products, allow []string) (Grant, error) {
	var g Grant
	for _, key := range products {
		if !command.ValidProductKey(key) {
			return Grant{}, fmt.Errorf("%w: %q is not a product key (1-32 letters and digits)", ErrKeyGrant, key)
		}
		if !slices.Contains(g.Products, key) {
			g.Products = append(g.Products, key)
		}
	}
	for _, r := range rights {
		if slices.Contains(allow, string(r)) {
			g.Allow = append(g.Allow, r)
		}
	}
	for _, name := range allow {
		if !slices.Contains(rights[:], Right(name)) {
			return Grant{}, fmt.Errorf("%w: %q is not one of %s", ErrKeyGrant, name, rightNames(rights[:]))
		}
	}
	return g, nil
}

func rightNames(list []Right) string {
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

// allows reports whether the key may use a right.
func (g *Grant) allows(r Right) bool { return len(g.Allow) == 0 || slices.Contains(g.Allow, r) }

// covers reports whether the key may work with a product.
func (g *Grant) covers(productKey string) bool {
	return len(g.Products) == 0 || slices.Contains(g.Products, productKey)
}

// rightOf is the right that sending a command needs.
func rightOf(c codec.Command) Right {
	switch c {
	case codec.CommandParamQuery:
		return RightQuery
	case codec.CommandParamSet:
		return RightSet
	default:
		return RightControl
	}
}

// permit refuses what the access key of a call may not do.
func (c *call) permit(r Right, productKey string) error {
	switch {
	case !c.key.Grant.covers(productKey):
		return denied("The access key %s may not work with product %s.", c.key.ID, productKey)
	case !c.key.Grant.allows(r):
		return denied("The access key %s may not do this (%s); it may: %s.", c.key.ID, r, rightNames(c.key.Grant.Allow))
	}
	return nil
}

// denied is the code for what an access key may not do: in Alibaba Cloud such a key is that of a RAM user.
func denied(format string, args ...any) *businessError {
	return &businessError{"iot.common.RamActionPermissionDeny", fmt.Sprintf(format, args...)}
}
