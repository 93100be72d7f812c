/**
 * The credentials a server makes for itself at its first start, when none are configured: an app with a certificate,
 * and a customer.
 */
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../config/load.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import { newHexId } from '../kernel/ids.ts';
import { keepFile } from '../kernel/kept-file.ts';

const hexId = z.string().regex(/^[0-9a-f]{32}$/);
const credentialsSchema = z.object({
  appId: hexId.optional(),
  appCertificate: hexId.optional(),
  customerId: hexId.optional(),
  customerSecret: hexId.optional(),
});
type Credentials = z.infer<typeof credentialsSchema>;

export type Completed = {
  config: Config;
  /** True when credentials were made now, so that the server can print them once. */
  made: boolean;
};

/** Makes the data folder, readable by this user alone, unless it exists. Throws a Fault when it cannot be made. */
export function makeDataDir(dataDir: string): void {
  try {
    if (mkdirSync(dataDir, { recursive: true, mode: 0o700 }) !== undefined) chmodSync(dataDir, 0o700);
  } catch (cause) {
    throw new Fault('data-dir-unusable', `the data folder ${dataDir} cannot be made: ${messageOf(cause)}`, {
      blame: 'caller',
      cause,
    });
  }
}

/**
 * The configuration, completed from `<dataDir>/credentials.json`; what is missing there too is made and kept. With
 * `make` false nothing is made: a Fault says that the server was never started.
 */
export function completeCredentials(config: Config, { make = true }: { make?: boolean } = {}): Completed {
  const needsApp = config.apps.length === 0;
  const needsCustomer = config.customers.length === 0;
  if (!needsApp && !needsCustomer) return { config, made: false };
  const path = join(config.dataDir, 'credentials.json');
  const kept = read(path);
  const {
    appId = newHexId(),
    appCertificate = newHexId(),
    customerId = newHexId(),
    customerSecret = newHexId(),
  } = kept;
  const all: Credentials = {
    ...kept,
    ...(needsApp && { appId, appCertificate }),
    ...(needsCustomer && { customerId, customerSecret }),
  };
  const made = Object.keys(all).some((name) => !(name in kept));
  if (made && !make)
    throw new Fault('no-credentials', `nothing is configured, and ${path} lacks credentials; run aircheck serve once`, {
      blame: 'caller',
    });
  if (made) keep(path, all);
  return {
    made,
    config: {
      ...config,
      apps: needsApp
        ? [{ appid: appId, certificate: appCertificate, recording: true, notifications: config.defaultNotifications }]
        : config.apps,
      customers: needsCustomer ? [{ id: customerId, secret: customerSecret, apps: undefined }] : config.customers,
    },
  };
}

function read(path: string): Credentials {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new Fault('credentials-unreadable', `${path} cannot be read: ${messageOf(cause)}`, {
      blame: 'caller',
      cause,
    });
  }
  try {
    return credentialsSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Fault(
      'credentials-unreadable',
      `${path} is damaged; restore it, or remove it to have new credentials made`,
      { blame: 'caller', cause },
    );
  }
}

function keep(path: string, credentials: Credentials): void {
  try {
    keepFile(path, `${JSON.stringify(credentials, null, 2)}\n`);
  } catch (cause) {
    throw new Fault('credentials-unwritable', `${path} cannot be made: ${messageOf(cause)}`, {
      blame: 'caller',
      cause,
    });
  }
}
