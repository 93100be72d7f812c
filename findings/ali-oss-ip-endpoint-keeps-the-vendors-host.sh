#!/usr/bin/env bash
# ali-oss 6.23.0, read on 2026-11-28.
# With an IP address as `endpoint` the client connects there, but neither uses path style nor names the endpoint in Host: the
# request says Host: BUCKET.oss-cn-hangzhou.aliyuncs.com and the path holds the key alone.
# Output seen:  PUT /dir/x.ts, Host films.oss-cn-hangzhou.aliyuncs.com
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 ali-oss@6.23.0
cat > run.mjs <<'JS'
import { createServer } from 'node:http';
import OSS from 'ali-oss';

let seen;
const server = createServer((req, res) => {
  seen = `${req.method} ${req.url}, Host ${req.headers.host}`;
  req.resume().on('end', () => res.writeHead(200, { etag: '"x"' }).end());
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const endpoint = `http://127.0.0.1:${server.address().port}`;
const client = new OSS({ endpoint, bucket: 'films', accessKeyId: 'a', accessKeySecret: 'b', secure: false });
await client.put('dir/x.ts', Buffer.from('x'));
console.log(seen);
process.exit(seen === 'PUT /dir/x.ts, Host films.oss-cn-hangzhou.aliyuncs.com' ? 0 : 1);
JS
node_modules/.bin/node run.mjs
