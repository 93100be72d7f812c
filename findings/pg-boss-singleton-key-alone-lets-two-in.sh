#!/usr/bin/env bash
# pg-boss 12.38.0 on @electric-sql/pglite 0.5.16, read on 2026-11-28.
# A singletonKey alone does not make a job the only one of its key. On a queue of policy 'standard' a second send with the same key
# is taken, and also on policy 'singleton' as long as none is active. Only 'exclusive' (or singletonSeconds) refuses the second.
# Output seen:  standard 2, singleton 2, exclusive 1
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 pg-boss@12.38.0 @electric-sql/pglite@0.5.16
cat > run.mjs <<'JS'
import { PGlite } from '@electric-sql/pglite';
import { fromPglite, PgBoss } from 'pg-boss';

const boss = new PgBoss({ db: fromPglite(await PGlite.create('memory://')), backend: 'pglite' });
boss.on('error', (error) => console.error(error.message));
await boss.start();
const counts = [];
for (const policy of ['standard', 'singleton', 'exclusive']) {
  await boss.createQueue(policy, { policy });
  const ids = [await boss.send(policy, {}, { singletonKey: 'one' }), await boss.send(policy, {}, { singletonKey: 'one' })];
  counts.push(`${policy} ${ids.filter(Boolean).length}`);
}
console.log(counts.join(', '));
process.exit(counts.join(', ') === 'standard 2, singleton 2, exclusive 1' ? 0 : 1);
JS
node_modules/.bin/node run.mjs
