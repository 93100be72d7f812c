#!/usr/bin/env bash
# fauxqs 2.4.1 (SNS, SQS and S3 in memory) with @aws-sdk/client-s3 3.1173.0, read on 2026-11-28.
# Addressed by IP it takes path style. Addressed by a host name with more than one label it takes the first label for the bucket,
# also when the client uses path style, so the same request ends in NoSuchBucket.
# Output seen:  by address: 200, by name: NoSuchBucket
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 fauxqs@2.4.1 @aws-sdk/client-s3@3.1173.0
cat > run.mjs <<'JS'
import { Agent } from 'node:http';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { startFauxqs } from 'fauxqs';

const server = await startFauxqs({ port: 0, logger: false });
// The name leads to the same server.
const lookup = (name, options, done) =>
  options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);
const client = (host) =>
  new S3Client({
    endpoint: `http://${host}:${server.port}`, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' }, requestHandler: { httpAgent: new Agent({ lookup }) },
  });
const put = (host) =>
  client(host)
    .send(new PutObjectCommand({ Bucket: 'films', Key: 'k', Body: Buffer.from('x') }))
    .then(({ $metadata }) => $metadata.httpStatusCode, (error) => error.name);
await client('127.0.0.1').send(new CreateBucketCommand({ Bucket: 'films' }));
const line = `by address: ${await put('127.0.0.1')}, by name: ${await put('s3.test')}`;
console.log(line);
process.exit(line === 'by address: 200, by name: NoSuchBucket' ? 0 : 1);
JS
node_modules/.bin/node run.mjs
