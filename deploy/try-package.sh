#!/bin/sh
# Packs the npm package, installs it into an empty folder from the registry that npm is set up for, and runs the server:
# it must answer its health check, give out the publish page, and end in order. Takes a minute.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/node_modules/.bin:$PATH
work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

npm pack --silent --pack-destination "$work"
mkdir "$work/empty"
cd "$work/empty"
npm init -y >/dev/null
npm pkg set overrides.werift=npm:abstract-logging@2.0.1 overrides.apache-arrow=npm:abstract-logging@2.0.1
SKIP_FFMPEG=true npm install --no-audit --no-fund --loglevel=error "$work"/aircheck-*.tgz
du -sh node_modules

export AIRCHECK_DATA_DIR="$work/data" AIRCHECK_PORT=17300 AIRCHECK_RTC_PORT=17301
npx aircheck prepare
npx aircheck doctor || [ $? = 2 ]
node node_modules/aircheck/dist/app/cli/main.js serve &
server=$!
tries=0
until npx aircheck health 2>/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { echo "it never became healthy" >&2; exit 1; }
  sleep 1
done
node -e "fetch('http://127.0.0.1:17300/publish').then(async (page) => {
  if (!page.ok || !(await page.text()).includes('<html')) process.exit(1);
})"
kill "$server"
wait "$server"
server=
echo "the package works"
