{{- define "aircheck.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "aircheck.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "aircheck.labels" -}}
{{ include "aircheck.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "aircheck.secret" -}}
{{- .Values.existingSecret | default (include "aircheck.name" .) -}}
{{- end -}}

{{/* Several servers need one database; one that the chart knows nothing of may be named in an existing Secret. */}}
{{- define "aircheck.check" -}}
{{- $several := or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1) -}}
{{- if and $several (not .Values.existingSecret) (not (hasKey .Values.secrets "AIRCHECK_DATABASE_URL")) -}}
{{- fail "several servers need a Postgres: set secrets.AIRCHECK_DATABASE_URL, or existingSecret with that key" -}}
{{- end -}}
{{- if and $several (not .Values.existingSecret) (not (hasKey .Values.secrets "AIRCHECK_SECRET_KEYS")) -}}
{{- fail "several servers need the same keys: set secrets.AIRCHECK_SECRET_KEYS (openssl rand -hex 32)" -}}
{{- end -}}
{{- if and $several (not .Values.existingSecret) (not (hasKey .Values.secrets "AIRCHECK_FLEET_KEY")) -}}
{{- fail "several servers answer as one with a key of their own: set secrets.AIRCHECK_FLEET_KEY (openssl rand -hex 32)" -}}
{{- end -}}
{{- end -}}
