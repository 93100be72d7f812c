#!/usr/bin/env bash
# ali-oss 6.23.0 and cos-nodejs-sdk-v5 3.0.0, read on 2026-11-28.
# Requests without a body carry headers that belong to one, and sign them: ali-oss a Content-Type guessed from the key on GET and HEAD,
# cos-nodejs-sdk-v5 a Content-Length of 0 on HEAD. A proxy that drops them as needless breaks the signature.
# Output seen:  ali-oss HEAD: content-type video/mp2t; cos HEAD: content-length 0, signed: content-length;host
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 ali-oss@6.23.0 cos-nodejs-sdk-v5@3.0.0
cat > run.mjs <<'JS'
import { createServer } from 'node:http';
import OSS from 'ali-oss';
import COS from 'cos-nodejs-sdk-v5';

let seen;
const server = createServer((req, res) => {
  seen = req;
  req.resume().on('end', () => res.writeHead(200, { etag: '"x"', 'content-length': 1 }).end());
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const at = `127.0.0.1:${server.address().port}`;
const oss = new OSS({ endpoint: `http://${at}`, bucket: 'films', accessKeyId: 'a', accessKeySecret: 'b', secure: false });
await oss.head('dir/x.ts');
const type = seen.headers['content-type'];
const cos = new COS({ SecretId: 'a', SecretKey: 'b', Ip: at, Protocol: 'http:' });
await cos.headObject({ Bucket: 'films-1250000000', Region: 'ap-guangzhou', Key: 'dir/x.ts' });
const length = seen.headers['content-length'];
const signed = /q-header-list=([^&]*)/.exec(seen.headers.authorization)?.[1];
console.log(`ali-oss HEAD: content-type ${type}; cos HEAD: content-length ${length}, signed: ${signed}`);
process.exit(type === 'video/mp2t' && length === '0' && signed?.includes('content-length') ? 0 : 1);
JS
node_modules/.bin/node run.mjs
