/**
 * The backup store that the settings name: a folder of this server, or a bucket of its operator.
 */
import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Config } from '../config/load.ts';
import { STORAGE_VENDORS } from '../contract/line/storage.ts';
import { Fault } from '../kernel/fault.ts';
import { BackupStore } from '../stages/upload/backup-store.ts';
import { openLocalFolder } from '../stages/upload/target/local-folder.ts';

/** Throws a Fault when `backupStorage` is of a vendor that does not speak S3. */
export async function openBackup({ backupDir, backupStorage }: Config): Promise<BackupStore> {
  if (!backupStorage) return new BackupStore(openLocalFolder(basename(backupDir), dirname(backupDir)));
  if (backupStorage.vendor === STORAGE_VENDORS.localFolder || backupStorage.vendor === STORAGE_VENDORS.azure)
    throw new Fault(
      'config-invalid',
      'backupStorage must be a bucket of a vendor that speaks S3; a folder is backupDir',
      {
        blame: 'caller',
      },
    );
  // The bucket is the operator's own, so it may lie in any network.
  const { openS3 } = await import('../stages/upload/target/s3.ts');
  return new BackupStore(openS3(backupStorage));
}

/** Whether the backup store lies on the same disk as a folder of this server. */
export function isOnDiskOf(folder: string, { backupDir, backupStorage }: Config): boolean {
  if (backupStorage) return false;
  try {
    return statSync(backupDir).dev === statSync(folder).dev;
  } catch (error) {
    // The folder is made with the first file.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
