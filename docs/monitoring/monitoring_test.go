// Package monitoring holds the tests of what is shipped for Prometheus and Grafana: dashboards, rules and alerts name
// nothing that the gateway does not have. The tests that need Prometheus itself are behind the tag of that name: make
// monitoring.
package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// metricRow is a row of docs/metrics.md: name, type, and the labels with their values.
var metricRow = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([a-z]+)[^|]*\\| [^|]+ \\| ([^|]*) \\|")

// rowLabel is one label of a row.
var rowLabel = regexp.MustCompile("`([a-z]+)`(?::|;|$)")

// labelsOf gives the labels of every metric that a gateway can show. The page says what a running one does: a test of
// cmd/tboxgate holds it to that.
func labelsOf(t *testing.T) map[string]map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../metrics.md")
	require.NoError(t, err)
	all := map[string]map[string]bool{"up": {"job": true, "instance": true}}
	for _, row := range metricRow.FindAllStringSubmatch(string(text), -1) {
		labels := map[string]bool{"job": true, "instance": true}
		for _, l := range rowLabel.FindAllStringSubmatch(row[3], -1) {
			labels[l[1]] = true
		}
		all[row[1]] = labels
		if row[2] == "histogram" {
			labels["le"] = true
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				all[row[1]+suffix] = labels
			}
		}
	}
	require.Greater(t, len(all), 100)
	return all
}

// selector is a metric's name and what stands in braces after it.
var selector = regexp.MustCompile(`\b((?:tboxgate|process|go|up)[a-z0-9_]*)\{([^}]*)\}`)

var (
	anyName   = regexp.MustCompile(`\btboxgate_[a-z0-9_]+`)
	quoted    = regexp.MustCompile(`"[^"]*"`)
	labelName = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
)

// check holds an expression to the metrics that there are, their labels, and the recorded names.
func check(t *testing.T, expr string, all map[string]map[string]bool, recorded map[string]bool) {
	t.Helper()
	rest := expr
	for name := range recorded {
		rest = strings.ReplaceAll(rest, name, "")
	}
	for _, name := range anyName.FindAllString(rest, -1) {
		require.Contains(t, all, name, "in %s", expr)
	}
	for _, m := range selector.FindAllStringSubmatch(rest, -1) {
		require.Contains(t, all, m[1], "in %s", expr)
		for _, l := range labelName.FindAllStringSubmatch(quoted.ReplaceAllString(m[2], `""`), -1) {
			require.True(t, all[m[1]][l[1]], "%s has no label %s: %s", m[1], l[1], expr)
		}
	}
}

// ruleFile is a file of rules as Prometheus reads it.
type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Record, Alert, Expr string
			Labels, Annotations map[string]string
		}
	}
}

func readRules(t *testing.T, name string) (f ruleFile) {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &f))
	return f
}

// recordedNames are the names that the recording rules make.
func recordedNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, g := range readRules(t, "recording.yml").Groups {
		for _, r := range g.Rules {
			names[r.Record] = true
		}
	}
	return names
}

// TestRulesNameWhatThereIs: rules ask for metrics and labels that exist; every alert says why and is listed in the README.
func TestRulesNameWhatThereIs(t *testing.T) {
	all, recorded := labelsOf(t), recordedNames(t)
	require.NotEmpty(t, recorded)
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	tests, err := os.ReadFile("rules_test.yml")
	require.NoError(t, err)
	sections := troubleshooting(t)
	alerts := 0
	for _, file := range []string{"recording.yml", "alerts.yml"} {
		for _, g := range readRules(t, file).Groups {
			for _, r := range g.Rules {
				check(t, r.Expr, all, recorded)
				if r.Alert == "" {
					continue
				}
				alerts++
				require.Contains(t, []string{"critical", "warning", "info"}, r.Labels["severity"], r.Alert)
				for _, a := range []string{"summary", "description", "why"} {
					require.NotEmpty(t, r.Annotations[a], "%s: %s", r.Alert, a)
				}
				require.Contains(t, string(readme), "| `"+r.Alert+"` | "+r.Labels["severity"]+" | "+r.Annotations["why"]+" |\n")
				section, ok := strings.CutPrefix(r.Annotations["runbook_url"], runbook)
				require.True(t, ok, "%s: runbook_url %q", r.Alert, r.Annotations["runbook_url"])
				require.Contains(t, sections, section, "%s: docs/troubleshooting.md has no such section", r.Alert)
				require.Contains(t, string(tests), `alertname="`+r.Alert+`"`, "no promtool test fires it")
			}
		}
	}
	require.Greater(t, alerts, 30)
}

// runbook is what the address of every alert's runbook begins with.
const runbook = "https://github.com/tboxgate/tboxgate/blob/main/docs/troubleshooting.md#"

// troubleshooting gives the anchors of the sections of docs/troubleshooting.md.
func troubleshooting(t *testing.T) (anchors []string) {
	t.Helper()
	text, err := os.ReadFile("../troubleshooting.md")
	require.NoError(t, err)
	for _, h := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(string(text), -1) {
		anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(h[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	require.NotEmpty(t, anchors)
	return anchors
}

// page is what we look at of a Grafana dashboard.
type page struct {
	UID, Title string
	Panels     []struct {
		ID      int
		Title   string
		Type    string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
	Templating struct{ List []struct{ Name string } }
}

func readPages(t *testing.T) map[string]page {
	t.Helper()
	files, err := filepath.Glob("dashboards/*.json")
	require.NoError(t, err)
	pages := map[string]page{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var p page
		require.NoError(t, json.Unmarshal(text, &p), file)
		pages[file] = p
	}
	return pages
}

// TestDashboards: the panels ask for what there is, have room and identities of their own, and between the two pages
// every metric of ours can be seen.
func TestDashboards(t *testing.T) {
	all, recorded := labelsOf(t), recordedNames(t)
	pages := readPages(t)
	require.Len(t, pages, 2)
	shown := map[string]bool{}
	for file, p := range pages {
		require.NotEmpty(t, p.UID, file)
		ids := map[int]bool{}
		taken := map[[2]int]string{}
		for _, panel := range p.Panels {
			require.False(t, ids[panel.ID], "%s: two panels %d", file, panel.ID)
			ids[panel.ID] = true
			require.NotEmpty(t, panel.Title, file)
			g := panel.GridPos
			require.LessOrEqual(t, g.X+g.W, 24, panel.Title)
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					require.Empty(t, taken[[2]int{x, y}], "%s: %s lies over it", file, panel.Title)
					taken[[2]int{x, y}] = panel.Title
				}
			}
			if panel.Type == "row" {
				continue
			}
			require.NotEmpty(t, panel.Targets, panel.Title)
			for _, target := range panel.Targets {
				check(t, target.Expr, all, recorded)
				for _, name := range anyName.FindAllString(target.Expr, -1) {
					shown[strings.TrimSuffix(name, "_bucket")] = true
				}
			}
		}
	}
	for name := range all {
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if strings.HasPrefix(base, "tboxgate_") {
			require.True(t, shown[base], "%s stands on no page", base)
		}
	}
}
