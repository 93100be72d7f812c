#!/usr/bin/env bash
# @aws-sdk/client-s3 3.1173.0, read on 2026-11-28.
# From 2 MiB on PutObject sends `Expect: 100-continue` and waits for the answer. A server that is allowed to ignore it (RFC 9110
# §10.1.1) and simply waits for the body gets it after six seconds, at every request. The client's option
# `expectContinueHeader: false` ends that.
# Output seen:  1 MiB: at once, 4 MiB: 6 s, 4 MiB without the header: at once
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 @aws-sdk/client-s3@3.1173.0
cat > run.mjs <<'JS'
import { createServer } from 'node:http';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';

const server = createServer((req, res) => req.resume().on('end', () => res.end()));
// Node would send the 100 by itself; this server takes the request without.
server.on('checkContinue', (req, res) => req.resume().on('end', () => res.end()));
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const seconds = async (bytes, options) => {
  const client = new S3Client({
    endpoint: `http://127.0.0.1:${server.address().port}`, region: 'us-east-1', forcePathStyle: true,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' }, ...options,
  });
  const from = performance.now();
  await client.send(new PutObjectCommand({ Bucket: 'b', Key: 'k', Body: Buffer.alloc(bytes) }));
  const s = (performance.now() - from) / 1000;
  return s < 2 ? 'at once' : `${Math.round(s)} s`;
};
const line = `1 MiB: ${await seconds(2 ** 20)}, 4 MiB: ${await seconds(2 ** 22)}, 4 MiB without the header: ${await seconds(2 ** 22, { expectContinueHeader: false })}`;
console.log(line);
process.exit(line === '1 MiB: at once, 4 MiB: 6 s, 4 MiB without the header: at once' ? 0 : 1);
JS
node_modules/.bin/node run.mjs
