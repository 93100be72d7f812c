/**
 * StorageConfig: where a recording's files go (contract §1.2.6), as a start request gives it and as the uploader takes
 * it.
 */
import { z } from 'zod';
import { REGIONS } from './regions.ts';

/** Vendors that differ from the others in kind. 1000 is our own: a folder of the server's disk. */
export const STORAGE_VENDORS = { azure: 5, s3Compatible: 11, localFolder: 1000 } as const;

/** Every vendor of the contract, and ours, with the name it goes by. */
const VENDOR_NAMES = {
  0: 'Qiniu Kodo',
  1: 'Amazon S3',
  2: 'Alibaba Cloud OSS',
  3: 'Tencent COS',
  4: 'Kingsoft KS3',
  5: 'Azure Blob',
  6: 'Google Cloud Storage',
  7: 'Huawei OBS',
  8: 'Baidu BOS',
  11: 'S3-compatible',
  1000: 'local folder',
} as const;
export type StorageVendor = keyof typeof VENDOR_NAMES;
const VENDORS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 1000] as const satisfies readonly StorageVendor[];

/** Client libraries send `""` for what they do not set (contract §1.2.6). */
const absentWhenEmpty = (value: unknown) => (value === '' || value === null ? undefined : value);

/**
 * These and the file name, joined with `/`, make the object key. The contract allows letters and digits; clients use
 * `_` and `-` too.
 */
const fileNamePrefixSchema = z
  .array(
    z.string().regex(/^[A-Za-z0-9_-]+$/, 'each element of fileNamePrefix may hold only letters, digits, "_" and "-"'),
  )
  .refine((parts) => parts.map((p) => `${p}/`).join('').length <= 128, {
    message: 'fileNamePrefix joined with "/" may have at most 128 characters',
  });

const extensionParamsSchema = z.object({
  sse: z.preprocess(
    absentWhenEmpty,
    z.enum(['aes256', 'kms'], 'extensionParams.sse must be "aes256" or "kms"').optional(),
  ),
  tag: z.preprocess(absentWhenEmpty, z.string().max(256).optional()),
  endpoint: z.preprocess(
    absentWhenEmpty,
    z
      .string()
      .regex(
        /^(https?:\/\/)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?\/?$/,
        'extensionParams.endpoint must be a host, as "s3.example.com", "https://s3.example.com:9000" or "http://10.0.0.5:9000"',
      )
      .optional(),
  ),
});

export const storageConfigSchema = z
  .object({
    vendor: z.literal(VENDORS, {
      error: (issue) =>
        typeof issue.input === 'number'
          ? `vendor must be one of ${VENDORS.map((vendor) => `${vendor} (${VENDOR_NAMES[vendor]})`).join(', ')}`
          : undefined,
    }),
    /** A number of the vendor's REGIONS; ignored for vendors that have none. */
    region: z.preprocess((value) => value ?? 0, z.int().min(0)),
    bucket: z.string().min(1, 'bucket must not be empty').max(255),
    accessKey: z.preprocess((value) => value ?? '', z.string()),
    secretKey: z.preprocess((value) => value ?? '', z.string()),
    stsToken: z.preprocess(absentWhenEmpty, z.string().optional()),
    /** Unix seconds at which the session token ends. */
    stsExpiration: z.preprocess(absentWhenEmpty, z.int().min(0).optional()),
    fileNamePrefix: z.preprocess((value) => value ?? [], fileNamePrefixSchema),
    extensionParams: z.preprocess((value) => value ?? undefined, extensionParamsSchema.optional()),
  })
  .superRefine((storage, context) => {
    const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (storage.vendor === STORAGE_VENDORS.localFolder) {
      if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(storage.bucket))
        refuse(
          ['bucket'],
          'bucket of vendor 1000 is one folder name: 1 to 63 letters, digits, ".", "_" and "-", the first a letter or digit',
        );
      return;
    }
    // Both go into the request's path or host, where "/" or "?" would change the request.
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/.test(storage.bucket))
      refuse(
        ['bucket'],
        'bucket must be a bucket name: letters, digits, ".", "_" and "-", the first a letter or digit',
      );
    if (storage.accessKey === '') refuse(['accessKey'], 'accessKey must not be empty');
    if (storage.secretKey === '') refuse(['secretKey'], 'secretKey must not be empty');
    const regions = REGIONS[storage.vendor];
    if (regions && regions[storage.region] === undefined)
      refuse(
        ['region'],
        `region ${storage.region} is not a region of vendor ${storage.vendor}; known are ${Object.keys(regions).join(', ')}`,
      );
    if (storage.vendor === STORAGE_VENDORS.s3Compatible && storage.extensionParams?.endpoint === undefined)
      refuse(['extensionParams', 'endpoint'], 'extensionParams.endpoint must be given for vendor 11');
  });
export type StorageConfig = z.infer<typeof storageConfigSchema>;

/** Where a recording's files lie, without what opens it: kept with the recording for ever. */
export const storagePlaceSchema = z.object({
  vendor: z.literal(VENDORS),
  region: z.int(),
  bucket: z.string(),
  endpoint: z.string().optional(),
});
export type StoragePlace = z.infer<typeof storagePlaceSchema>;

export function placeOf({ vendor, region, bucket, extensionParams }: StorageConfig): StoragePlace {
  const endpoint = extensionParams?.endpoint;
  return { vendor, region, bucket, ...(endpoint !== undefined && { endpoint }) };
}
