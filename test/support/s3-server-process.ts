/**
 * The child process of `s3-server.ts`: serves the folder it is given over S3 and reports its port to the parent.
 */
import { createRequire } from 'node:module';

type Server = { run(): Promise<{ port: number }> };
type ServerClass = new (options: {
  address: string;
  port: number;
  silent: boolean;
  directory: string;
  vhostBuckets: boolean;
}) => Server;

// The package has no types.
const S3rver = createRequire(import.meta.url)('s3rver') as ServerClass;
const directory = process.argv[2];
if (!directory || !process.send) throw new Error('run me through s3-server.ts');
const server = new S3rver({ address: '127.0.0.1', port: 0, silent: true, directory, vhostBuckets: false });
const { port } = await server.run();
process.on('disconnect', () => process.exit(0));
process.send({ port });
