#!/usr/bin/env bash
# esdk-obs-nodejs 3.26.8 (Huawei OBS), read on 2026-11-29.
# The constructor starts an asynchronous set-up and gives nothing to wait for. A request in the same turn of the event loop fails with a
# TypeError before anything is sent; the same request one turn later works. What the set-up finds wrong, such as a missing
# `server`, cannot be caught either: it is an unhandled rejection, which ends a Node process.
# Output seen:  at once: Cannot read properties of null (reading 'signature'), one turn later: 200; no server: unhandled Server is not set
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 esdk-obs-nodejs@3.26.8
cat > run.mjs <<'JS'
import { createServer } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import ObsClient from 'esdk-obs-nodejs';

const server = createServer((req, res) => req.resume().on('end', () => res.writeHead(200, { etag: '"x"' }).end()));
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const keys = { access_key_id: 'a', secret_access_key: 'b' };
const make = () => new ObsClient({ ...keys, server: `http://127.0.0.1:${server.address().port}` });
const put = (client) =>
  client.putObject({ Bucket: 'films', Key: 'x.ts', Body: 'x' })
    .then(({ CommonMsg }) => CommonMsg.Status, (error) => error.message);
const atOnce = await put(make());
const client = make();
await turn();
const later = await put(client);
const unhandled = new Promise((done) => process.once('unhandledRejection', (error) => done(`unhandled ${error.message}`)));
let thrown;
try { new ObsClient(keys); } catch (error) { thrown = Promise.resolve(`thrown ${error.message}`); }
const line = `at once: ${atOnce}, one turn later: ${later}; no server: ${await (thrown ?? unhandled)}`;
console.log(line);
process.exit(line === "at once: Cannot read properties of null (reading 'signature'), one turn later: 200; no server: unhandled Server is not set" ? 0 : 1);
JS
timeout 30 node_modules/.bin/node run.mjs
