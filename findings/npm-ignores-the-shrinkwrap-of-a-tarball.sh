#!/usr/bin/env bash
# npm 11.19.1, read on 2026-11-30.
# A package's npm-shrinkwrap.json says which versions of its dependencies are installed with it; npm's manual names daemons and
# command-line tools as what it is for. Where the package is installed from a tarball on the disk, npm does not look at it.
# Output seen:  the shrinkwrap has ms 2.0.0, and 2.1.3 was installed
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
mkdir tool made user
(cd tool && npm init -y >/dev/null && npm install --silent --no-audit --no-fund npm@11.19.1)
npm() { "$dir/tool/node_modules/.bin/npm" "$@"; }
cd made
echo '{"name":"made","version":"1.0.0","dependencies":{"ms":"2.0.0"}}' > package.json
npm install --silent --no-audit --no-fund --package-lock-only
npm shrinkwrap --silent
# Any version of 2 would do for the package, and its shrinkwrap has this one.
sed -i 's/"ms": *"2.0.0"/"ms":"^2.0.0"/' package.json npm-shrinkwrap.json
npm pack --silent >/dev/null
tar -tzf made-1.0.0.tgz | grep -q npm-shrinkwrap.json
cd ../user
echo '{"name":"user","version":"1.0.0"}' > package.json
npm install --silent --no-audit --no-fund ../made/made-1.0.0.tgz
installed=$(node -p "JSON.parse(require('fs').readFileSync(require.resolve('ms/package.json', { paths: ['node_modules/made', '.'] }))).version")
wrapped=$(node -p "require('../made/npm-shrinkwrap.json').packages['node_modules/ms'].version")
echo "the shrinkwrap has ms $wrapped, and $installed was installed"
[ "$wrapped" = 2.0.0 ] && [ "$installed" != 2.0.0 ]
