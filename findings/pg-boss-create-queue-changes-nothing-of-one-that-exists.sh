#!/usr/bin/env bash
# pg-boss 12.38.0 on @electric-sql/pglite 0.5.16, read on 2026-11-29.
# createQueue for a queue that exists answers as it does for a new one, and takes over none of its options. A server that calls it at
# each start runs with the policy and retries of its first version for ever. updateQueue changes the retries; the policy it refuses,
# so a queue that should be 'exclusive' has to get another name.
# Output seen:  created standard 1, created again as exclusive 7: standard 1; update of retries: 7, of policy: queue policy cannot be changed after creation
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
const tried = (call) => call.then(async () => {
  const { policy, retryLimit } = await boss.getQueue('films');
  return `${policy} ${retryLimit}`;
}, (error) => error.message);
const created = await tried(boss.createQueue('films', { policy: 'standard', retryLimit: 1 }));
const again = await tried(boss.createQueue('films', { policy: 'exclusive', retryLimit: 7 }));
const retries = await tried(boss.updateQueue('films', { retryLimit: 7 }));
const policy = await tried(boss.updateQueue('films', { policy: 'exclusive' }));
const line = `created ${created}, created again as exclusive 7: ${again}; update of retries: ${retries.split(' ')[1]}, of policy: ${policy}`;
console.log(line);
process.exit(line === 'created standard 1, created again as exclusive 7: standard 1; ' +
  'update of retries: 7, of policy: queue policy cannot be changed after creation' ? 0 : 1);
JS
timeout 50 node_modules/.bin/node run.mjs
