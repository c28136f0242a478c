{{/* Everything that a run's pod needs; the executor hands it on to the pods of its steps. */}}
{{- define "vq.runLauncher" -}}
load_incluster_config: true
job_namespace: {{ .Release.Namespace }}
service_account_name: {{ include "vq.serviceAccountName" . }}
instance_config_map: {{ include "vq.fullname" . }}-instance
dagster_home: {{ include "vq.dagsterHome" . }}
image_pull_policy: {{ .Values.image.pullPolicy }}
{{- with include "vq.pullSecrets" . | trim }}
image_pull_secrets:
  {{- . | nindent 2 }}
{{- end }}
labels:
  app.kubernetes.io/part-of: {{ .Chart.Name }}
  app.kubernetes.io/instance: {{ .Release.Name }}
env_config_maps:
  - {{ include "vq.fullname" . }}-settings
env_secrets:
  - {{ include "vq.secretName" . }}
  {{- with .Values.objects.s3.existingSecret }}
  - {{ . }}
  {{- end }}
volumes:
  {{- include "vq.codeVolumes" . | nindent 2 }}
volume_mounts:
  {{- include "vq.codeVolumeMounts" . | nindent 2 }}
resources:
  {{- toYaml .Values.runs.resources | nindent 2 }}
security_context:
  {{- include "vq.securityContext" . | nindent 2 }}
run_k8s_config:
  container_config:
    env:
      {{- include "vq.postgresPassword" . | nindent 6 }}
  pod_spec_config:
    securityContext:
      {{- include "vq.podSecurityContext" . | nindent 6 }}
    enableServiceLinks: false
    {{- with include "vq.placement" .Values.runs | trim }}
    {{- . | nindent 4 }}
    {{- end }}
  job_spec_config:
    ttl_seconds_after_finished: 3600
# Whoever can open the UI can tag a run: tags may choose its size and its place, not its image, account or Secrets.
only_allow_user_defined_k8s_config_fields:
  container_config:
    resources: true
  pod_spec_config:
    node_selector: true
    tolerations: true
    affinity: true
{{- end -}}
