{{- define "vq.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "vq.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "vq.labels" -}}
{{ include "vq.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "vq.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "vq.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.name is empty; name the account, or let the chart create one." .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "vq.image" -}}
{{- $repository := required "image.repository is empty; set it to the image that you built with helm/Dockerfile." .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Helm reads numbers as floats, and would write a million as 1e+06. */}}
{{- define "vq.setting" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{- define "vq.secretName" -}}
{{- required "existingSecret is empty; name the Secret that holds VLLM_QUALITY_RESULTS_URL." .Values.existingSecret -}}
{{- end -}}

{{- define "vq.postgresSecretName" -}}
{{- required "postgres.existingSecret is empty; name the Secret that holds the password." .Values.postgres.existingSecret -}}
{{- end -}}

{{- define "vq.objectsUrl" -}}
{{- if .Values.objects.s3.bucket -}}
s3://{{ .Values.objects.s3.bucket }}{{ with .Values.objects.s3.prefix }}/{{ . }}{{ end }}
{{- else -}}
{{- $_ := required "objects.s3.bucket and objects.existingClaim are empty; set one: pods share no disk." .Values.objects.existingClaim -}}
file:///data/objects
{{- end -}}
{{- end -}}

{{- define "vq.dagsterHome" -}}/opt/dagster/home{{- end -}}

{{- define "vq.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "vq.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "vq.postgresPassword" -}}
- name: DAGSTER_PG_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "vq.postgresSecretName" . }}
      key: {{ .Values.postgres.passwordKey }}
{{- end -}}

{{/* What every pod can write to or read from, whoever starts it. */}}
{{- define "vq.volumes" -}}
- name: tmp
  emptyDir: {}
- name: home
  emptyDir: {}
{{- if and .Values.objects.existingClaim (not .Values.objects.s3.bucket) }}
- name: data
  persistentVolumeClaim:
    claimName: {{ .Values.objects.existingClaim }}
{{- end }}
{{- end -}}

{{- define "vq.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
- name: home
  mountPath: {{ include "vq.dagsterHome" . }}
{{- if and .Values.objects.existingClaim (not .Values.objects.s3.bucket) }}
- name: data
  mountPath: /data
{{- end }}
{{- end -}}

{{/* What the project's own code needs besides: the code server and the pods of runs. */}}
{{- define "vq.codeVolumes" -}}
{{ include "vq.volumes" . }}
{{- if .Values.configs }}
- name: configs
  configMap:
    name: {{ include "vq.fullname" . }}-configs
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "vq.codeVolumeMounts" -}}
{{ include "vq.volumeMounts" . }}
{{- if .Values.configs }}
- name: configs
  mountPath: /etc/vllm-quality
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Instance and workspace, for the code server, the webserver and the daemon. */}}
{{- define "vq.instanceVolume" -}}
- name: instance
  configMap:
    name: {{ include "vq.fullname" . }}-instance
{{- end -}}

{{- define "vq.instanceVolumeMounts" -}}
- name: instance
  mountPath: {{ include "vq.dagsterHome" . }}/dagster.yaml
  subPath: dagster.yaml
  readOnly: true
- name: instance
  mountPath: /etc/dagster
  readOnly: true
{{- end -}}

{{- define "vq.podAnnotations" -}}
checksum/settings: {{ include (print .Template.BasePath "/configmap-settings.yaml") . | sha256sum }}
checksum/configs: {{ include (print .Template.BasePath "/configmap-configs.yaml") . | sha256sum }}
checksum/instance: {{ include (print .Template.BasePath "/configmap-instance.yaml") . | sha256sum }}
{{- end -}}

{{- define "vq.envFrom" -}}
- configMapRef:
    name: {{ include "vq.fullname" . }}-settings
{{- with .Values.objects.s3.existingSecret }}
- secretRef:
    name: {{ . }}
{{- end }}
{{- end -}}

{{- define "vq.pullSecrets" -}}
{{- range .Values.image.pullSecrets }}
- name: {{ . }}
{{- end }}
{{- end -}}

{{- define "vq.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
