// Package k8stest holds the manifests to Kubernetes' own types: an unknown or misplaced key is an error. It is a module of
// its own, so that the gateway does not depend on Kubernetes.
package k8stest

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// object is a manifest as its Kubernetes type.
type object struct {
	metav1.TypeMeta
	is any
}

func read(t *testing.T) (all []object) {
	t.Helper()
	text, err := os.ReadFile("../tboxgate.yaml")
	require.NoError(t, err)
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		var o object
		require.NoError(t, yaml.Unmarshal(doc, &o.TypeMeta))
		switch o.APIVersion + " " + o.Kind {
		case "v1 ConfigMap":
			o.is = &corev1.ConfigMap{}
		case "v1 Service":
			o.is = &corev1.Service{}
		case "apps/v1 StatefulSet":
			o.is = &appsv1.StatefulSet{}
		case "policy/v1 PodDisruptionBudget":
			o.is = &policyv1.PodDisruptionBudget{}
		default:
			require.Fail(t, "unknown kind", "%s", o.TypeMeta)
		}
		require.NoError(t, yaml.UnmarshalStrict(doc, o.is), "%s", doc)
		all = append(all, o)
	}
	return all
}

// TestManifests: every key is one of Kubernetes', and the parts fit together.
func TestManifests(t *testing.T) {
	objects := read(t)
	require.Len(t, objects, 6)
	var set *appsv1.StatefulSet
	var config *corev1.ConfigMap
	for _, o := range objects {
		switch is := o.is.(type) {
		case *appsv1.StatefulSet:
			set = is
		case *corev1.ConfigMap:
			config = is
		}
	}
	labels := set.Spec.Template.Labels
	require.Equal(t, labels, set.Spec.Selector.MatchLabels)
	c := set.Spec.Template.Spec.Containers[0]
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	services := map[string]bool{}
	for _, o := range objects {
		switch is := o.is.(type) {
		case *corev1.Service:
			services[is.Name] = true
			require.Equal(t, labels, is.Spec.Selector)
			for _, p := range is.Spec.Ports {
				require.Equal(t, p.Port, ports[p.TargetPort.String()], is.Name)
			}
		case *policyv1.PodDisruptionBudget:
			require.Equal(t, labels, is.Spec.Selector.MatchLabels)
		}
	}
	require.True(t, services[set.Spec.ServiceName])
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		require.Contains(t, ports, probe.HTTPGet.Port.String())
	}
	require.True(t, *set.Spec.Template.Spec.SecurityContext.RunAsNonRoot)
	require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
	require.EqualValues(t, 65532, *set.Spec.Template.Spec.SecurityContext.RunAsUser)
	// drain.timeout is 60 s; then five seconds for the store, and the pause before SIGTERM.
	require.Contains(t, config.Data["tboxgate.yaml"], "timeout: 60s")
	require.GreaterOrEqual(t, *set.Spec.Template.Spec.TerminationGracePeriodSeconds, int64(60+5)+c.Lifecycle.PreStop.Sleep.Seconds)
	for port, address := range map[string]string{"8999": "vehicles", "8960": "api", "9960": "admin"} {
		require.Contains(t, config.Data["tboxgate.yaml"], `"0.0.0.0:`+port+`"`, address)
	}
	mounts := map[string]string{}
	for _, m := range c.VolumeMounts {
		mounts[m.Name] = m.MountPath
	}
	require.Equal(t, "/data", mounts[set.Spec.VolumeClaimTemplates[0].Name])
	require.True(t, strings.HasPrefix(c.Args[2], mounts["config"]))
}
