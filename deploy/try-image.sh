#!/bin/sh
# Builds the image of deploy/docker/Dockerfile with buildah and runs it with podman, as docs/guide/install.md says:
# read-only, without rights, as user 10001. It must become healthy, keep its root, and end in order. Needs root, the
# Debian packages buildah, podman, crun, catatonit and debootstrap, and the network, but no registry of images: what the
# Dockerfile takes for its base is made by debootstrap, with the Node and npm of this machine in it.
#   deploy/try-image.sh [pages]     with what recordings of web pages need
set -eu
cd "$(dirname "$0")/.."
root=$PWD
base=localhost/aircheck-try-base:24
image=localhost/aircheck-try:latest
work=$(mktemp -d)
name=aircheck-try-$$
# Works without the rights to make namespaces for the build.
export BUILDAH_ISOLATION=chroot

finish() {
  podman rm --force --time 1 "$name" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
  debootstrap --variant=minbase bookworm "$work/base"
  install -m 0755 "$("$root/node_modules/.bin/node" -p process.execPath)" "$work/base/usr/local/bin/node"
  mkdir -p "$work/base/usr/local/lib/node_modules"
  # Of the installed npm, whichever Node stands first in the path.
  npm_home=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
  cp -R "$npm_home" "$work/base/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/base/usr/local/bin/npm"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$work/base" / >/dev/null
  buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah commit --quiet --rm "$container" "$base" >/dev/null
fi

# Where npm gets packages from is a matter of this machine, and whom it trusts there.
printf 'registry=%s\n' "$(npm config get registry)" >"$work/npmrc"
authorities=${NODE_EXTRA_CA_CERTS:-/dev/null}
[ "$authorities" = /dev/null ] || echo 'cafile=/root/authorities.pem' >>"$work/npmrc"
pages=false
[ "${1:-}" != pages ] || pages=true
buildah bud --network host --volume "$work/npmrc:/root/.npmrc:ro" \
  --volume "$authorities:/root/authorities.pem:ro" --build-arg "NODE_IMAGE=$base" \
  --build-arg "PAGES=$pages" --file deploy/docker/Dockerfile --tag "$image" .
buildah images "$image"

podman run --detach --name "$name" --network host --read-only --tmpfs /tmp --cap-drop all \
  --security-opt no-new-privileges --ulimit nofile=65536 --stop-timeout 60 \
  --env AIRCHECK_HOST=127.0.0.1 --env AIRCHECK_PORT=17300 --env AIRCHECK_RTC_PORT=17301 "$image"
tries=0
until podman exec "$name" aircheck health; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { podman logs "$name" >&2; exit 1; }
  sleep 1
done
[ "$(podman exec "$name" id -u)" = 10001 ]
if podman exec "$name" touch /app/written 2>/dev/null; then
  echo "its root can be written" >&2
  exit 1
fi
podman exec "$name" aircheck doctor || [ $? = 2 ]
podman stop "$name" >/dev/null
code=$(podman inspect --format '{{.State.ExitCode}}' "$name")
[ "$code" = 0 ] || { echo "it ended with $code" >&2; exit 1; }
echo "the image works"
