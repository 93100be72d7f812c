#!/usr/bin/env bash
# cos-nodejs-sdk-v5 3.0.0, read on 2026-11-28.
# With `Domain` set to a host name that does not contain `{Bucket}`, putObject sends a request that names the bucket nowhere:
# neither in Host nor in the path. The option for path style, ForcePathStyle, throws. So the SDK reaches no S3-compatible store
# that is told the bucket by the path.
# Output seen:  PUT /dir/x.ts, bucket named: no; ForcePathStyle is not supported
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 cos-nodejs-sdk-v5@3.0.0
cat > run.mjs <<'JS'
import { createServer } from 'node:http';
import COS from 'cos-nodejs-sdk-v5';

let seen;
const server = createServer((req, res) => {
  seen = `${req.method} ${req.url}, bucket named: ${(req.url + req.headers.host).includes('films') ? 'yes' : 'no'}`;
  req.resume().on('end', () => res.writeHead(200, { etag: '"x"' }).end());
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const keys = { SecretId: 'a', SecretKey: 'b', Protocol: 'http:' };
const cos = new COS({ ...keys, Domain: `127.0.0.1:${server.address().port}` });
const object = { Bucket: 'films-1250000000', Region: 'ap-beijing', Key: 'dir/x.ts', Body: Buffer.from('x') };
await cos.putObject(object);
let path;
try {
  await new COS({ ...keys, ForcePathStyle: true }).putObject(object);
} catch (error) {
  path = error.message ?? error.error?.message ?? String(error);
}
const line = `${seen}; ${path}`;
console.log(line);
process.exit(line === 'PUT /dir/x.ts, bucket named: no; ForcePathStyle is not supported' ? 0 : 1);
JS
node_modules/.bin/node run.mjs
