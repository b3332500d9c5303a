{{/* The name that all objects of this release begin with. */}}
{{- define "popservice.name" -}}
{{- if contains "popservice" .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-popservice" .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "popservice.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (printf "%s-manager" (include "popservice.name" .)) -}}
{{- end -}}

{{/* Selector labels never change, so that an upgrade never has to replace the Deployment. */}}
{{- define "popservice.selectorLabels" -}}
app.kubernetes.io/name: popservice
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: manager
{{- end -}}

{{- define "popservice.labels" -}}
{{ include "popservice.selectorLabels" . }}
app.kubernetes.io/part-of: popservice
{{- end -}}

{{- define "popservice.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{- define "popservice.serverImage" -}}
{{- printf "%s:%s" .Values.serverImage.repository (.Values.serverImage.tag | default .Chart.AppVersion) -}}
{{- end -}}
