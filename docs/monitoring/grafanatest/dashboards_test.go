// Package grafanatest reads the dashboards with Grafana's own types. It is a module of its own, so that these stay out of the
// gateway's.
package grafanatest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/units"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	plugins.RegisterDefaultPlugins() // panels and data sources by type
	os.Exit(m.Run())
}

// read reads a dashboard strictly: a key that Grafana does not have, a value of another type, and what its schema forbids
// are errors, in options, field settings and queries of the panels too.
func read(text []byte) (d dashboard.Dashboard, err error) {
	whole, err := withoutFormats(text)
	if err != nil {
		return d, err
	}
	if err := d.UnmarshalJSONStrict(whole); err != nil {
		return d, err
	}
	if err := d.Validate(); err != nil {
		return d, err
	}
	// The types read this part leniently.
	var raw struct {
		Panels []struct{ FieldConfig json.RawMessage }
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return d, err
	}
	for _, p := range raw.Panels {
		if p.FieldConfig == nil {
			continue
		}
		var c dashboard.FieldConfigSource
		if err := c.UnmarshalJSONStrict(p.FieldConfig); err != nil {
			return d, err
		}
		if err := c.Validate(); err != nil {
			return d, err
		}
	}
	return d, nil
}

// withoutFormats leaves out the two keys of annotations that are not the page's but the Prometheus data source's, whose
// annotations have no type here.
func withoutFormats(text []byte) ([]byte, error) {
	var page map[string]any
	if err := json.Unmarshal(text, &page); err != nil {
		return nil, err
	}
	annotations, _ := page["annotations"].(map[string]any)
	list, _ := annotations["list"].([]any)
	for _, one := range list {
		if query, ok := one.(map[string]any); ok {
			delete(query, "titleFormat")
			delete(query, "textFormat")
		}
	}
	return json.Marshal(page)
}

func dashboards(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../dashboards/*.json")
	require.NoError(t, err)
	require.Len(t, files, 2)
	texts := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		texts[filepath.Base(file)] = text
	}
	return texts
}

// unitOf is the unit that a quantity has by the end of its metric's name, as far as it says.
var unitOf = []struct {
	pattern *regexp.Regexp
	units   []string
}{
	{regexp.MustCompile(`^(1?\d+ \* )?(sum|max)?( by \([a-z, ]+\) )?\(?rate\([a-z_]*cpu_seconds_total`), []string{units.Short}},
	{regexp.MustCompile(`^histogram_quantile`), []string{units.Seconds}},
	{regexp.MustCompile(`_seconds\{[^}]*\}( - time\(\))?\)*$`), []string{units.Seconds}},
	{regexp.MustCompile(`rate\([a-z_]+_bytes_total`), []string{units.BytesPerSecondIEC, units.BytesPerSecondSI, units.BytesIEC}},
	{regexp.MustCompile(`_bytes\{[^}]*\}\)*$`), []string{units.BytesIEC}},
}

// known are the units that the pages use; each is one of Grafana's.
var known = []string{units.Short, units.Seconds, units.BytesIEC, units.BytesPerSecondSI, units.BytesPerSecondIEC, units.PercentUnit, units.OpsPerSecond}

// TestDashboards: Grafana's types take them whole; every panel has a data source by the variable, a unit that fits what it
// asks for, and a legend where there may be several lines.
func TestDashboards(t *testing.T) {
	label := regexp.MustCompile(`\{\{\s*([a-z]+)\s*\}\}`)
	for file, text := range dashboards(t) {
		d, err := read(text)
		require.NoError(t, err, file)
		require.NotEmpty(t, d.Uid, file)
		require.Equal(t, "datasource", d.Templating.List[0].Name)
		require.Equal(t, dashboard.VariableTypeDatasource, d.Templating.List[0].Type)
		require.Equal(t, "prometheus", *d.Templating.List[0].Query.String)
		ids, panels, bottom := map[uint32]bool{}, 0, uint32(0)
		for _, one := range d.Panels {
			if row := one.RowPanel; row != nil {
				require.False(t, ids[row.Id], "%s: %d twice", file, row.Id)
				ids[row.Id] = true
				require.Equal(t, bottom, row.GridPos.Y, "%s: room above or below row %s", file, *row.Title)
				bottom = row.GridPos.Y + row.GridPos.H
				continue
			}
			p := one.Panel
			name := file + ": " + *p.Title
			panels++
			require.False(t, ids[*p.Id], "%s: %d twice", name, *p.Id)
			ids[*p.Id] = true
			bottom = max(bottom, p.GridPos.Y+p.GridPos.H)
			source(t, name, p.Datasource)
			unit := *p.FieldConfig.Defaults.Unit
			require.Contains(t, known, unit, name)
			refs := map[string]bool{}
			for _, target := range p.Targets {
				q, ok := target.(*prometheus.Dataquery)
				require.True(t, ok, "%s: %T", name, target)
				source(t, name, q.Datasource)
				require.False(t, refs[*q.RefId], "%s: two queries %s", name, *q.RefId)
				refs[*q.RefId] = true
				for _, u := range unitOf {
					if u.pattern.MatchString(q.Expr) {
						require.Contains(t, u.units, unit, "%s: %s", name, q.Expr)
						break
					}
				}
				if p.Type == "stat" && len(p.Targets) == 1 {
					continue
				}
				require.NotEmpty(t, *q.LegendFormat, name)
				for _, l := range label.FindAllStringSubmatch(*q.LegendFormat, -1) {
					require.True(t, kept(q.Expr, l[1]), "%s: its legend has {{%s}}, and its query does not keep it: %s", name, l[1], q.Expr)
				}
			}
		}
		require.Greater(t, panels, 15, file)
	}
}

// kept reports whether a label is left in the result of a query. Without an aggregation all are.
func kept(expr, label string) bool {
	by := regexp.MustCompile(`\bby \(([^)]*)\)`).FindAllStringSubmatch(expr, -1)
	if by == nil {
		return !regexp.MustCompile(`\b(sum|min|max|avg|count)\(`).MatchString(expr)
	}
	for _, one := range by {
		if !slices.Contains(strings.Split(strings.ReplaceAll(one[1], " ", ""), ","), label) {
			return false
		}
	}
	return true
}

func source(t *testing.T, name string, r *common.DataSourceRef) {
	t.Helper()
	require.NotNil(t, r, name)
	require.Equal(t, "prometheus", *r.Type, name)
	require.Equal(t, "${datasource}", *r.Uid, name)
}

// TestMistakesAreFound: the strict reading is no formality.
func TestMistakesAreFound(t *testing.T) {
	text := string(dashboards(t)["service.json"])
	for name, change := range map[string][2]string{
		"a key of the page":      {`"schemaVersion"`, `"schemaVersions"`},
		"a key of a panel":       {`"gridPos"`, `"gridPosition"`},
		"a key of a query":       {`"legendFormat"`, `"legend"`},
		"an option of a panel":   {`"colorMode": "value"`, `"colourMode": "value"`},
		"a drawing setting":      {`"fillOpacity"`, `"fillOpaque"`},
		"a value of another one": {`"h": 4`, `"h": "4"`},
		"a setting of fields":    {`"thresholds"`, `"threshold"`},
	} {
		require.Contains(t, text, change[0], name)
		_, err := read([]byte(strings.ReplaceAll(text, change[0], change[1])))
		require.Error(t, err, name)
	}
}
