/**
 * The choice of a store's target.
 */
import { STORAGE_VENDORS, type StorageConfig } from '../../../contract/line/storage.ts';
import { type Clock, systemClock } from '../../../kernel/clock.ts';
import type { EndpointGuard } from '../../../kernel/endpoint-guard.ts';
import { azureEndpoint, s3AddressOf } from './dialects.ts';
import { openLocalFolder } from './local-folder.ts';
import type { Target } from './target.ts';

export type TargetOptions = {
  /** The folder that holds the folders of vendor 1000. */
  localStorageDir: string;
  /** Which addresses may be connected to; without it, all of them. */
  guard?: EndpointGuard | undefined;
  clock?: Clock;
  /** Told when a store does something else than it was asked, but nothing that is worth failing for. */
  warn?: (text: string) => void;
};

/**
 * The target that `storage` names. Throws a Fault blaming `caller` for a place that this server may not, or cannot,
 * store to.
 */
export async function createTarget(storage: StorageConfig, options: TargetOptions): Promise<Target> {
  const { localStorageDir, guard, clock = systemClock, warn = () => {} } = options;
  if (storage.vendor === STORAGE_VENDORS.localFolder) return openLocalFolder(storage.bucket, localStorageDir);
  if (storage.vendor === STORAGE_VENDORS.azure) {
    guard?.checkUrl(azureEndpoint(storage));
    // Loaded at first use: the libraries are large, and most servers never need them.
    const { openAzure } = await import('./azure.ts');
    return openAzure(storage, { guard, warn });
  }
  guard?.checkUrl(s3AddressOf(storage).endpoint);
  const { openS3 } = await import('./s3.ts');
  return openS3(storage, { guard, clock, warn });
}
