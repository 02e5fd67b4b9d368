package session

import (
	"bytes"
	"slices"

	"github.com/tboxgate/tboxgate/codec"
)

// Page returns up to n devices of a product in the order of their VINs: those behind after (the zero VIN: from the beginning),
// skip of them left out. total is the number of devices of the product. It looks at every device, but sorts only what lies
// before the end of the page.
func (r *Registry) Page(productKey string, after codec.VIN, skip, n int) (page []Device, total int) {
	product, known := r.names.find(productKey)
	if !known || product == 0 {
		return nil, 0
	}
	want := skip + n
	byVIN := func(a, b codec.VIN) int { return bytes.Compare(a[:], b[:]) }
	var vins []codec.VIN // the least of those seen; cut back to want when twice as many have come together
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.RLock()
		for vin, rec := range sh.devices {
			if rec.product != product {
				continue
			}
			total++
			if byVIN(vin, after) > 0 {
				vins = append(vins, vin)
			}
		}
		sh.mu.RUnlock()
		if len(vins) > 2*want+1024 {
			slices.SortFunc(vins, byVIN)
			vins = vins[:want]
		}
	}
	slices.SortFunc(vins, byVIN)
	vins = vins[min(skip, len(vins)):min(want, len(vins))]
	for _, vin := range vins {
		if rec, ok := r.find(vin); ok && rec.product == product {
			page = append(page, rec.device(vin, r.names))
		}
	}
	return page, total
}
