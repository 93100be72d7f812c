#!/usr/bin/env bash
# azurite 3.37.0 with @azure/storage-blob 12.34.0, read on 2026-11-28.
# 1. It answers 400 InvalidHeaderValue to this client's API version until it is started with --skipApiVersionCheck.
# 2. A blob that was acknowledged (201) less than some seconds before a SIGKILL is gone after the restart; after 7 s it is there.
# 3. The content-md5 in the answer to Put Block List is that of the request's XML, and the blob has no MD5 unless the caller gives one.
# Output seen:  unchecked version: InvalidHeaderValue; killed at once: gone; killed after 7 s: there; MD5 of the block list: not the content's; of the blob: none
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 azurite@3.37.0 @azure/storage-blob@12.34.0
cat > run.mjs <<'JS'
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob';

const key = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
const free = () => new Promise((r) => { const s = createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => r(port)); }); });
const port = await free();
const start = async (...flags) => {
  const child = spawn('node_modules/.bin/node', ['node_modules/azurite/dist/src/blob/main.js', '-l', 'data', '--blobHost', '127.0.0.1', '--blobPort', String(port), '--silent', ...flags]);
  for (let n = 0; n < 100; n++) {
    try { await fetch(`http://127.0.0.1:${port}/`); return child; } catch { await pause(100); }
  }
  throw new Error('azurite did not start');
};
const end = (child) => new Promise((done) => { child.once('exit', done); child.kill('SIGKILL'); });
const account = new BlobServiceClient(`http://127.0.0.1:${port}/devstoreaccount1`, new StorageSharedKeyCredential('devstoreaccount1', key), { retryOptions: { maxTries: 1 } });
const films = account.getContainerClient('films');

let child = await start();
const version = await films.create().then(() => 'taken', (error) => error.code);
await end(child);
child = await start('--skipApiVersionCheck');
await films.create();
await pause(7000);
const survives = async (name, waitMs) => {
  await films.getBlockBlobClient(name).upload('x', 1);
  await pause(waitMs);
  await end(child);
  child = await start('--skipApiVersionCheck');
  return (await films.getBlobClient(name).exists()) ? 'there' : 'gone';
};
const soon = await survives('soon', 0);
const later = await survives('later', 7000);
const blob = films.getBlockBlobClient('blocks');
const content = Buffer.from('content');
const id = Buffer.from('0001').toString('base64');
await blob.stageBlock(id, content, content.length);
const answer = await blob.commitBlockList([id]);
const told = Buffer.from(answer.contentMD5 ?? []).equals(createHash('md5').update(content).digest()) ? "the content's" : "not the content's";
const { contentMD5 } = await blob.getProperties();
await end(child);
const line = `unchecked version: ${version}; killed at once: ${soon}; killed after 7 s: ${later}; MD5 of the block list: ${told}; of the blob: ${contentMD5 ? 'there' : 'none'}`;
console.log(line);
process.exit(line === "unchecked version: InvalidHeaderValue; killed at once: gone; killed after 7 s: there; MD5 of the block list: not the content's; of the blob: none" ? 0 : 1);
JS
node_modules/.bin/node run.mjs
