#!/bin/sh
# Installs what a bare clone lacks, and says nothing when there is nothing to do.
#   setup.sh        npm packages (once per lockfile)
#   setup.sh pages  also the Debian packages that web pages are recorded with
#   setup.sh test   also those, and what tests and benches use: dnsmasq, faketime, ffmpeg, iproute2,
#                   mpv, nftables, nginx with its RTMP module, postgresql, OpenStack Swift's libraries, VLC
set -eu
cd "$(dirname "$0")/.."

# Prints the Debian packages that are missing, each after a space. $1: pages or test
missing_packages() {
  missing=""
  # Some of these have no program of their own name.
  for package in chromium chromium-sandbox xvfb pulseaudio pulseaudio-utils bubblewrap socat libxcb-shm0 libxcb-xfixes0 \
    fonts-dejavu-core; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
  done
  if [ "$1" = test ]; then
    command -v dnsmasq >/dev/null 2>&1 || [ -x /usr/sbin/dnsmasq ] || missing="$missing dnsmasq-base"
    command -v faketime >/dev/null 2>&1 || missing="$missing faketime"
    command -v ffmpeg >/dev/null 2>&1 || missing="$missing ffmpeg"
    command -v ip >/dev/null 2>&1 || [ -x /usr/sbin/ip ] || missing="$missing iproute2"
    command -v mpv >/dev/null 2>&1 || missing="$missing mpv"
    command -v vlc >/dev/null 2>&1 || missing="$missing vlc-bin vlc-plugin-base"
    [ -e /usr/lib/nginx/modules/ngx_rtmp_module.so ] || missing="$missing libnginx-mod-rtmp"
    [ -x /usr/sbin/nft ] || missing="$missing nftables"
    # Debian keeps its programs out of the path, in a folder per version.
    command -v postgres >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 ||
      missing="$missing postgresql"
    # The libraries alone: the packages of Swift's servers would begin to run them.
    [ -e /usr/lib/python3/dist-packages/swift/proxy/server.py ] || missing="$missing python3-swift"
  fi
  printf '%s' "$missing"
}

install_packages() {
  as_root=""
  [ "$(id -u)" = 0 ] || as_root=sudo
  export DEBIAN_FRONTEND=noninteractive
  $as_root apt-get update -qq >&2
  $as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Beside npm's: each waits for the network and the disk for most of its time.
missing=""
installing=""
case "${1:-}" in test | pages) missing=$(missing_packages "$1") ;; esac
if [ -n "$missing" ] && command -v apt-get >/dev/null 2>&1; then
  echo "aircheck: installing Debian packages:$missing" >&2
  install_packages $missing &
  installing=$!
  # Whatever fails meanwhile, nothing is left half installed.
  trap 'wait' EXIT
fi

# One at a time: each would take away what another has just installed. Where there is no flock it goes without.
exec 9<package-lock.json
flock 9 2>/dev/null || true

stamp=node_modules/.aircheck-setup
if ! cmp -s package-lock.json "$stamp"; then
  echo "aircheck: installing npm packages" >&2
  # SKIP_FFMPEG: node-av would fetch an ffmpeg executable that nothing here uses.
  # Development packages are wanted even where NODE_ENV says production: they carry the Node that everything runs on.
  SKIP_FFMPEG=true npm ci --include=dev --no-audit --no-fund --loglevel=error >&2
  cp package-lock.json "$stamp"
  # Without it the first start makes what it needs.
  node_modules/.bin/node src/app/cli/main.ts prepare >&2 || echo "aircheck: the first start will take longer" >&2
fi

node_modules/.bin/node scripts/build-dashboard.ts --if-changed >&2 ||
  echo "aircheck: the dashboard could not be built; everything else works" >&2

node_modules/.bin/node scripts/bundle.ts --if-changed >&2 ||
  echo "aircheck: the code of recorders could not be bundled; they start later, and everything works" >&2

[ -z "$missing" ] && exit 0
if [ -z "$installing" ]; then
  echo "aircheck: these Debian packages are needed, please install them:$missing" >&2
  exit 1
fi
wait "$installing"
