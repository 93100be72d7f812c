#!/usr/bin/env bash
# s3rver 3.7.1 with @aws-sdk/client-s3 3.1173.0 as it is by default, read on 2026-11-28.
# The SDK sends a stream as aws-chunked with a trailing checksum. s3rver answers 200 and keeps the framing as part of the object:
# it is longer than what was sent. With requestChecksumCalculation 'WHEN_REQUIRED' the bytes are right. A test that only looks at
# the answer of PutObject passes.
# Output seen:  sent 2000000, default 200 stored 2000314, WHEN_REQUIRED 200 stored 2000000
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 s3rver@3.7.1 @aws-sdk/client-s3@3.1173.0
cat > run.mjs <<'JS'
import { createReadStream, mkdirSync, writeFileSync } from 'node:fs';
import { HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import S3rver from 's3rver';

mkdirSync('store');
writeFileSync('body', Buffer.alloc(2_000_000, 7));
const server = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory: 'store', configureBuckets: [{ name: 'b' }] });
const { port } = await server.run();
const put = async (how) => {
  const client = new S3Client({
    endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', forcePathStyle: true,
    credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }, ...(how && { requestChecksumCalculation: how }),
  });
  const Key = how ?? 'default';
  const { $metadata } = await client.send(new PutObjectCommand({ Bucket: 'b', Key, Body: createReadStream('body'), ContentLength: 2_000_000 }));
  const { ContentLength } = await client.send(new HeadObjectCommand({ Bucket: 'b', Key }));
  return `${Key} ${$metadata.httpStatusCode} stored ${ContentLength}`;
};
const line = `sent 2000000, ${await put()}, ${await put('WHEN_REQUIRED')}`;
console.log(line);
process.exit(line === 'sent 2000000, default 200 stored 2000314, WHEN_REQUIRED 200 stored 2000000' ? 0 : 1);
JS
node_modules/.bin/node run.mjs
