/** Azurite, Microsoft's emulator of Azure Blob Storage, in a process of its own, with one container. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlobServiceClient, type ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob';
import type { StorageConfig } from '../../src/contract/line/storage.ts';

/** The account that every Azurite has. */
export const AZURITE_KEYS = {
  accessKey: 'devstoreaccount1',
  secretKey: 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
};
const BUCKET = 'recordings';

export type Azurite = {
  /** The container, opened by the vendor's own library. */
  container: ContainerClient;
  storage: StorageConfig;
  close(): Promise<void>;
};

export async function startAzurite(): Promise<Azurite> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-azurite-'));
  const port = await freePort();
  const script = join(import.meta.dirname, '../../node_modules/azurite/dist/src/blob/main.js');
  const args = ['--blobPort', String(port), '--location', dir, '--silent', '--skipApiVersionCheck'];
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const close = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      // Asked to end it waits for connections that are kept open, and nobody needs what it has any more.
      child.kill('SIGKILL');
      await ended;
    }
    rmSync(dir, { recursive: true, force: true });
  };
  await new Promise<void>((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
      if (said.includes('successfully listens')) resolve();
    });
    child.once('exit', (code) => reject(new Error(`Azurite ended with ${code}: ${said}`)));
  });
  // An emulator has the account in its path.
  const endpoint = `http://127.0.0.1:${port}/${AZURITE_KEYS.accessKey}`;
  const account = new StorageSharedKeyCredential(AZURITE_KEYS.accessKey, AZURITE_KEYS.secretKey);
  const container = new BlobServiceClient(endpoint, account).getContainerClient(BUCKET);
  await container.create();
  const place = { vendor: 5, region: 0, bucket: BUCKET, extensionParams: { endpoint } } as const;
  return { container, storage: { ...place, ...AZURITE_KEYS, fileNamePrefix: [] }, close };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address ? address.port : 0;
}
