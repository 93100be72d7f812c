#!/usr/bin/env bash
# @aws-sdk/lib-storage 3.1173.0 (client-s3 3.1173.0), read on 2026-11-28.
# An Upload whose part the store refuses stops reading its Body. Node then destroys the file stream that was the Body, and the
# stream emits 'error' (AbortError, "The operation was aborted") BEFORE `done()` rejects with the store's answer. Who takes an
# 'error' of the source for an unreadable file, blames the disk for what the store did.
# Output seen:  source error: AbortError / then done(): AccessDenied
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 @aws-sdk/client-s3@3.1173.0 @aws-sdk/lib-storage@3.1173.0
cat > run.mjs <<'JS'
import { createReadStream, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';

const server = createServer((req, res) => {
  req.resume().on('end', () => {
    if (req.url.includes('uploads')) {
      res.end('<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>');
    } else if (req.method === 'PUT') {
      res.writeHead(403).end('<Error><Code>AccessDenied</Code><Message>no</Message></Error>');
    } else res.writeHead(204).end();
  });
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
writeFileSync('body', Buffer.alloc(60_000_000));
const client = new S3Client({
  endpoint: `http://127.0.0.1:${server.address().port}`, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1,
  credentials: { accessKeyId: 'a', secretAccessKey: 'b' }, requestChecksumCalculation: 'WHEN_REQUIRED',
});
const seen = [];
const body = createReadStream('body').on('error', (error) => seen.push(`source error: ${error.name}`));
await new Upload({ client, params: { Bucket: 'b', Key: 'k', Body: body } }).done().catch((e) => seen.push(`then done(): ${e.name}`));
await new Promise((done) => setImmediate(done));
console.log(seen.join('\n'));
process.exit(seen.join('|') === 'source error: AbortError|then done(): AccessDenied' ? 0 : 1);
JS
node_modules/.bin/node run.mjs
