#!/usr/bin/env bash
# minio 8.0.7 (MinIO's client for JavaScript), read on 2026-12-01.
# putObject of a stream takes its size as an option. Without it the client plans for the largest object there can be, 5
# TiB in 10,000 parts, and gathers one part of that size, 528 MiB, in memory before it sends a byte. A recording that is
# shorter than that is in memory as a whole, one that is longer needs that much per upload, and while it grows nothing
# of it is in the store. With the size, or with the client's option `partSize`, the first part of 64 MiB leaves when it
# is there.
# Output seen:  first part: without a size 528 MiB, with the size 64 MiB, with partSize 64 MiB
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 minio@8.0.7
cat > run.mjs <<'JS'
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { Client } from 'minio';

const mib = 2 ** 20;
const whole = 600 * mib;
const answers = {
  GET: '<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>',
  POST: '<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>',
};
/** How long the first part of a stream is. */
async function firstPart(size, options = {}) {
  let read = 0;
  const block = Buffer.alloc(mib);
  const source = new Readable({ read() { this.push(read < whole ? block : null); read += mib; } });
  let seen;
  const first = new Promise((done) => { seen = done; });
  const server = createServer((request, response) => {
    if (request.method === 'PUT') seen(Number(request.headers['content-length']));
    request.resume().on('end', () => response.setHeader('etag', '"x"').end(answers[request.method]));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const keys = { accessKey: 'a', secretKey: 'b', region: 'us-east-1' };
  const client = new Client({ endPoint: '127.0.0.1', port: server.address().port, useSSL: false, ...keys, ...options });
  // What becomes of the upload when the store goes away is of no matter here.
  client.putObject('films', 'x.mp4', source, size).catch(() => {});
  const length = await first;
  source.destroy();
  server.closeAllConnections();
  server.close();
  return `${length / mib} MiB`;
}
const line =
  `first part: without a size ${await firstPart()}, with the size ${await firstPart(whole)}, ` +
  `with partSize ${await firstPart(undefined, { partSize: 64 * mib })}`;
console.log(line);
process.exit(line === 'first part: without a size 528 MiB, with the size 64 MiB, with partSize 64 MiB' ? 0 : 1);
JS
timeout 120 node_modules/.bin/node run.mjs
