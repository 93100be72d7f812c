#!/bin/sh
# Renders the chart with several values and holds what comes out to the schemas of Kubernetes. Needs the Debian packages
# golang-go, golang-github-masterminds-sprig-dev and golang-gopkg-yaml.v3-dev, and fetches the npm package
# kubernetes-models into a temporary folder.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Debian's libraries of Go lie here, and need no network.
export GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS=-trimpath GOCACHE="$work/go"
go build -o "$work/render" render.go

cp validate.mjs "$work/"
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund kubernetes-models@5.1.0 yaml@2.9.1
cd - >/dev/null

try() {
  "$work/render" aircheck "$1" "$work/values.yaml" >"$work/rendered.yaml"
  (cd "$work" && node validate.mjs <rendered.yaml)
}

echo '{}' >"$work/values.yaml"
try aircheck
# The schemas must be able to refuse something.
sed 's/hostNetwork: true/hostNetwork: "yes"/' "$work/rendered.yaml" >"$work/wrong.yaml"
if (cd "$work" && node validate.mjs <wrong.yaml >/dev/null 2>&1); then
  echo "a wrong object was let in" >&2
  exit 1
fi
cat >"$work/values.yaml" <<'VALUES'
replicaCount: 3
existingSecret: aircheck-credentials
imagePullSecrets: [{ name: registry }]
settings: { maxRecordings: 100, storageNetworks: [10.0.0.0/8] }
persistence: { size: 200Gi, storageClass: fast }
service: { type: LoadBalancer, annotations: { example.com/scheme: internal } }
autoscaling: { enabled: true }
podMonitor: { enabled: true, labels: { release: prometheus } }
nodeSelector: { example.com/pool: media }
tolerations: [{ key: media, operator: Exists, effect: NoSchedule }]
podAnnotations: { example.com/note: "1" }
VALUES
try recorder
grep -q 'averageValue: "600m"' "$work/rendered.yaml"
grep -q 'terminationGracePeriodSeconds: 420' "$work/rendered.yaml"
cat >"$work/values.yaml" <<'VALUES'
secrets: { AIRCHECK_CUSTOMER_ID: me, AIRCHECK_CUSTOMER_SECRET: "1" }
podDisruptionBudget: { enabled: false }
VALUES
try aircheck

echo 'replicaCount: 2' >"$work/values.yaml"
if try aircheck 2>"$work/why"; then
  echo "several servers were let in without a Postgres" >&2
  exit 1
fi
grep -q 'several servers need a Postgres' "$work/why"
echo "the chart can be rendered"
