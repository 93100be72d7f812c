/**
 * StorageConfig: where a recording's files go (contract §1.2.6), as a start request gives it and as the uploader takes it.
 */
import { z } from 'zod';

/** The vendors this server can store to. 1000 is our own: a folder of the server's disk. */
export const STORAGE_VENDORS = { s3: 1, s3Compatible: 11, localFolder: 1000 } as const;

/** Amazon's region names by the contract's numbers. Gaps are numbers the contract does not give. */
export const S3_REGIONS: Readonly<Record<number, string>> = {
  0: 'us-east-1',
  1: 'us-east-2',
  2: 'us-west-1',
  3: 'us-west-2',
  4: 'eu-west-1',
  5: 'eu-west-2',
  6: 'eu-west-3',
  7: 'eu-central-1',
  8: 'ap-southeast-1',
  9: 'ap-southeast-2',
  10: 'ap-northeast-1',
  11: 'ap-northeast-2',
  12: 'sa-east-1',
  13: 'ca-central-1',
  14: 'ap-south-1',
  15: 'cn-north-1',
  16: 'cn-northwest-1',
  17: 'us-gov-west-1',
  18: 'af-south-1',
  19: 'ap-east-1',
  20: 'ap-northeast-3',
  21: 'eu-north-1',
  22: 'me-south-1',
  23: 'us-gov-east-1',
  24: 'ap-southeast-3',
  25: 'eu-south-1',
  28: 'il-central-1',
};

/** Client libraries send `""` for what they do not set (contract §1.2.6). */
const absentWhenEmpty = (value: unknown) => (value === '' || value === null ? undefined : value);

/** Joined with `/`, these and the file name make the object key. The contract has letters and digits; clients use `_` and `-` too. */
export const fileNamePrefixSchema = z
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
    vendor: z.union(
      [z.literal(1), z.literal(11), z.literal(1000)],
      'vendor must be one this server stores to: 1 (Amazon S3), 11 (S3-compatible) or 1000 (local folder)',
    ),
    /** A number of S3_REGIONS for vendor 1; without effect otherwise. */
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
    // Both go into the request's path or host, where "/" or "?" would change what is asked for.
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(storage.bucket))
      refuse(['bucket'], 'bucket must be a bucket name: letters, digits, ".", "_" and "-"');
    if (storage.accessKey === '') refuse(['accessKey'], 'accessKey must not be empty');
    if (storage.secretKey === '') refuse(['secretKey'], 'secretKey must not be empty');
    if (storage.vendor === STORAGE_VENDORS.s3 && S3_REGIONS[storage.region] === undefined)
      refuse(
        ['region'],
        `region ${storage.region} is not a region of vendor 1; known are ${Object.keys(S3_REGIONS).join(', ')}`,
      );
    if (storage.vendor === STORAGE_VENDORS.s3Compatible && storage.extensionParams?.endpoint === undefined)
      refuse(['extensionParams', 'endpoint'], 'extensionParams.endpoint must be given for vendor 11');
  });
export type StorageConfig = z.infer<typeof storageConfigSchema>;
