#!/usr/bin/env bash
# @electric-sql/pglite 0.5.16 in a folder, read on 2026-11-28. Needs Debian's strace.
# Postgres syncs its log at each commit. PGlite starts it with -F: `show fsync` says off, and over 100 committed transactions
# neither fsync nor fdatasync is called once, whatever relaxedDurability is. What was acknowledged outlives the process, not a
# loss of power.
# Output seen:  fsync is off; 100 commits, 0 syncs
set -euo pipefail
command -v strace >/dev/null || { echo "install strace first"; exit 2; }
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 @electric-sql/pglite@0.5.16
cat > run.mjs <<'JS'
import { PGlite } from '@electric-sql/pglite';
const db = await PGlite.create('data', { relaxedDurability: false });
await db.query('create table t (n int)');
const [{ fsync }] = (await db.query('show fsync')).rows;
for (let n = 0; n < 100; n++) await db.query('insert into t values ($1)', [n]);
const [{ count }] = (await db.query('select count(*) from t')).rows;
console.log(`fsync is ${fsync}; ${count} commits`);
await db.close();
JS
said=$(strace -f -qq -e trace=fsync,fdatasync,sync_file_range,msync,syncfs -o syncs node_modules/.bin/node run.mjs)
line="$said, $(wc -l < syncs) syncs"
echo "$line"
[ "$line" = 'fsync is off; 100 commits, 0 syncs' ]
