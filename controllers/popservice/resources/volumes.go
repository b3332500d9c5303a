package resources

import (
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/pop3server/directory"
)

// secretMode lets the pod's group read a file, and nobody else.
const secretMode = 0o440

// Names of the pod's volumes.
const (
	volumeConfig    = "config"
	volumeDirectory = "directory"
	volumeTLS       = "tls"
	volumeControl   = "control"
	volumeMaildrops = "maildrops"
)

// mounts are whole folders: a file that is mounted by itself (subPath) would never change.
func mounts() []*corev1ac.VolumeMountApplyConfiguration {
	readOnly := func(name, folder string) *corev1ac.VolumeMountApplyConfiguration {
		return corev1ac.VolumeMount().WithName(name).WithMountPath(folder).WithReadOnly(true)
	}
	return []*corev1ac.VolumeMountApplyConfiguration{
		readOnly(volumeConfig, configFolder),
		readOnly(volumeDirectory, directoryFolder),
		readOnly(volumeTLS, tlsFolder),
		readOnly(volumeControl, controlFolder),
		corev1ac.VolumeMount().WithName(volumeMaildrops).WithMountPath(volumeFolder),
	}
}

func (in Input) volumes() []*corev1ac.VolumeApplyConfiguration {
	config := corev1ac.ConfigMapVolumeSource().WithName(names.ConfigMap(in.name()))
	tls := secretVolume(names.Certificates(in.name())).WithOptional(true)
	control := secretVolume(names.ControlTLS(in.name()))
	claim := corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(names.Claim(in.name()))
	return []*corev1ac.VolumeApplyConfiguration{
		corev1ac.Volume().WithName(volumeConfig).WithConfigMap(config),
		corev1ac.Volume().WithName(volumeDirectory).WithProjected(in.directoryVolume()),
		corev1ac.Volume().WithName(volumeTLS).WithSecret(tls),
		corev1ac.Volume().WithName(volumeControl).WithSecret(control),
		corev1ac.Volume().WithName(volumeMaildrops).WithPersistentVolumeClaim(claim),
	}
}

func secretVolume(name string) *corev1ac.SecretVolumeSourceApplyConfiguration {
	return corev1ac.SecretVolumeSource().WithSecretName(name).WithDefaultMode(secretMode)
}

// directoryVolume has all buckets, be they there or not: so the pod stays as it is when mailboxes come and go.
func (in Input) directoryVolume() *corev1ac.ProjectedVolumeSourceApplyConfiguration {
	volume := corev1ac.ProjectedVolumeSource().WithDefaultMode(secretMode)
	for bucket := range directory.Buckets {
		volume.WithSources(corev1ac.VolumeProjection().WithSecret(
			corev1ac.SecretProjection().WithName(names.Bucket(in.name(), bucket)).WithOptional(true)))
	}
	return volume
}
