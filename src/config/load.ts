/**
 * Reads the settings: the environment goes before aircheck.yaml, and that before the defaults. The only place that sees
 * `process.env`.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { z } from 'zod';
import { addressKind } from '../kernel/address.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import { aboutSetting } from './setting.ts';
import { environmentName, type SettingKey, type Settings, settingsShape, YAML_ONLY } from './settings.ts';

/** Where an app's events are posted; an empty list of event types means all. */
type Notifications = { url: string; secret: string; events: readonly number[] };
type App = {
  appid: string;
  certificate: string | undefined;
  /** False when the app may not record. */
  recording: boolean;
  notifications: Notifications | undefined;
  /** As in the settings; absent where the app has none of its own. */
  retentionDays?: number | undefined;
};
type Customer = { id: string; secret: string; apps: string[] | undefined };

/** The settings with absolute paths, and with the single app and customer added to the lists. */
export type Config = Omit<
  Settings,
  | 'appId'
  | 'appCertificate'
  | 'customerId'
  | 'customerSecret'
  | 'apps'
  | 'customers'
  | 'notifyUrl'
  | 'notifySecret'
  | 'notifyEvents'
  | 'storageNetworks'
  | 'imageNetworks'
> & {
  /** Networks besides the public internet that customers may store into. */
  storageNetworks: string[];
  /** Networks besides the public internet that images may be fetched from. */
  imageNetworks: string[];
  /** Empty when none is configured; the first start then makes an app. */
  apps: App[];
  /** For the app that the first start makes. */
  defaultNotifications: Notifications | undefined;
  customers: Customer[];
};

export type LoadOptions = { env?: Record<string, string | undefined>; cwd?: string };

/**
 * Reads the configuration. Throws a Fault that lists every bad setting with its value (unless it is secret) and what is
 * allowed.
 */
export function loadConfig({ env = process.env, cwd = process.cwd() }: LoadOptions = {}): Config {
  const file = readYaml(env['AIRCHECK_CONFIG'], cwd);
  const problems = Object.keys(file.values)
    .filter((key) => !(key in settingsShape))
    .map((key) => `${file.path}: ${key} is no setting${nearestKey(key)}`);

  const values: Record<string, unknown> = {};
  for (const [key, schema] of Object.entries(settingsShape)) {
    const variable = environmentName(key);
    const fromEnv = YAML_ONLY.has(key) ? undefined : env[variable];
    // An empty variable is an unset one: compose files and CI pass those for what nobody filled in.
    const source = fromEnv !== undefined && fromEnv.trim() !== '' ? variable : `${file.path}: ${key}`;
    const raw = source === variable ? fromEnv : (file.values[key] ?? undefined);
    const parsed = schema.safeParse(raw);
    if (parsed.success) {
      values[key] = parsed.data;
      continue;
    }
    const { allowed, secret } = aboutSetting(schema);
    const what = secret ? 'has a value that' : `is ${JSON.stringify(raw)}, which`;
    problems.push(`${source} ${what} is not ${allowed}${membersOf(parsed.error)}${quotesFor(raw, parsed.error)}`);
  }
  if (problems.length === 0) problems.push(...pairProblems(values as Settings));
  if (problems.length > 0) throw new Fault('config-invalid', problems.join('\n'), { blame: 'caller' });
  return settle(values as Settings, cwd);
}

/**
 * Says of each variable AIRCHECK_… of the environment that sets nothing that it is no setting. Nobody but a person who
 * misspelt it wants to hear that, so it is no fault: other programs name theirs as they like.
 */
export function unknownVariables(env: Record<string, string | undefined> = process.env): string[] {
  const known = new Set(
    Object.keys(settingsShape)
      .filter((key) => !YAML_ONLY.has(key))
      .map(environmentName),
  );
  return Object.keys(env)
    .filter((name) => name.startsWith('AIRCHECK_') && name !== 'AIRCHECK_CONFIG' && !known.has(name))
    .map((name) => {
      const key = sameLetters(name);
      if (key && YAML_ONLY.has(key)) return `${name} sets nothing; ${key} is set in aircheck.yaml`;
      return `${name} is no setting${key ? `; did you mean ${environmentName(key)}?` : ''}`;
    });
}

/** Which members of a setting are wrong, and how; no message holds a value. */
function membersOf({ issues }: z.ZodError): string {
  const members = issues
    .filter(({ path }) => path.length > 0)
    .map(({ path, message }) => (message.startsWith(path.join('.')) ? message : `${path.join('.')}: ${message}`));
  return members.length === 0 ? '' : ` (${members.join('; ')})`;
}

/** That a text of digits, or the word true, wants quotes in YAML; nothing of other values. */
function quotesFor(raw: unknown, { issues }: z.ZodError): string {
  const wantsText = issues.some(
    (issue) => issue.path.length === 0 && issue.code === 'invalid_type' && issue.expected === 'string',
  );
  return wantsText && (typeof raw === 'number' || typeof raw === 'boolean')
    ? `: YAML reads it as a ${typeof raw}; put it in quotes`
    : '';
}

function readYaml(given: string | undefined, cwd: string): { path: string; values: Record<string, unknown> } {
  const path = resolve(cwd, given || 'aircheck.yaml');
  const name = given || 'aircheck.yaml';
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (cause) {
    if (!given && (cause as NodeJS.ErrnoException).code === 'ENOENT') return { path: name, values: {} };
    throw new Fault('config-unreadable', `${name} (AIRCHECK_CONFIG) cannot be read: ${messageOf(cause)}`, {
      blame: 'caller',
      cause,
    });
  }
  // Most installations have no such file, and a process that reads none holds nothing to read it with.
  const { parse } = createRequire(import.meta.url)('yaml') as typeof import('yaml');
  let values: unknown;
  try {
    values = parse(source) ?? {};
  } catch (cause) {
    throw new Fault('config-unreadable', `${name} is not YAML: ${messageOf(cause)}`, { blame: 'caller', cause });
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values))
    throw new Fault('config-unreadable', `${name} must hold settings as "name: value"`, { blame: 'caller' });
  return { path: name, values: values as Record<string, unknown> };
}

function nearestKey(key: string): string {
  const match = sameLetters(key);
  return match ? `; did you mean ${match}?` : '';
}

/** The setting whose name has the same letters and digits, however they are joined. */
function sameLetters(name: string): SettingKey | undefined {
  const plain = (word: string) =>
    word
      .toLowerCase()
      .replace(/^aircheck_/, '')
      .replace(/[^a-z0-9]/g, '');
  return (Object.keys(settingsShape) as SettingKey[]).find((known) => plain(known) === plain(name));
}

function pairProblems(settings: Settings): string[] {
  const problems: string[] = [];
  if (settings.appCertificate && !settings.appId)
    problems.push('AIRCHECK_APP_CERTIFICATE is set without AIRCHECK_APP_ID; set both, or neither to have both made');
  if (Boolean(settings.customerId) !== Boolean(settings.customerSecret))
    problems.push(
      'AIRCHECK_CUSTOMER_ID and AIRCHECK_CUSTOMER_SECRET go together; set both, or neither to have both made',
    );
  const ids = [settings.appId, ...settings.apps.map((app) => app.id)].filter(Boolean);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice) problems.push(`app ${twice} is configured twice`);
  const customerIds = [settings.customerId, ...settings.customers.map((customer) => customer.id)].filter(Boolean);
  const customerTwice = customerIds.find((id, index) => customerIds.indexOf(id) !== index);
  if (customerTwice) problems.push(`customer ${customerTwice} is configured twice`);
  for (const customer of settings.customers)
    for (const appid of customer.apps ?? [])
      if (!ids.includes(appid)) problems.push(`customer ${customer.id} names app ${appid}, which is not configured`);
  if (settings.notifyUrl && !settings.notifySecret)
    problems.push(`${environmentName('notifyUrl')} needs ${environmentName('notifySecret')}, to sign with`);
  if (settings.notifyUrl && !settings.appId && settings.apps.length > 0)
    problems.push(
      `${environmentName('notifyUrl')} is for the app of ${environmentName('appId')}, which is not set; give the apps of aircheck.yaml their own notifications`,
    );
  if (Boolean(settings.tlsCertFile) !== Boolean(settings.tlsKeyFile))
    problems.push(`${environmentName('tlsCertFile')} and ${environmentName('tlsKeyFile')} are needed both, or neither`);
  problems.push(...fleetProblems(settings));
  return problems;
}

/** What keeps a server from being a node of a fleet, in words. */
function fleetProblems(settings: Settings): string[] {
  const { fleetKey, databaseUrl, nodeUrl, nodeHost, publicUrl, host } = settings;
  const variable = environmentName;
  const tlsFiles = (['nodeTlsCertFile', 'nodeTlsKeyFile', 'nodeTlsCaFile'] as const).filter((key) => settings[key]);
  const ofFleetsOnly = (['nodeUrl', 'publicUrl'] as const).filter((key) => settings[key]);
  if (fleetKey.length === 0)
    return [...ofFleetsOnly, ...tlsFiles].map(
      (key) => `${variable(key)} is set, but ${variable('fleetKey')} is not, without which this server is in no fleet`,
    );
  const problems: string[] = [];
  if (!databaseUrl)
    problems.push(
      `${variable('fleetKey')} is set without ${variable('databaseUrl')}: the nodes of a fleet share a Postgres`,
    );
  if (tlsFiles.length % 3 !== 0)
    problems.push(
      `${variable('nodeTlsCertFile')}, ${variable('nodeTlsKeyFile')} and ${variable('nodeTlsCaFile')} are needed all, or none`,
    );
  if (nodeUrl && nodeUrl.startsWith('https:') !== tlsFiles.length > 0)
    problems.push(
      `${variable('nodeUrl')} must begin with https:// if, and only if, ${variable('nodeTlsCertFile')} is set`,
    );
  const isEverywhere = (address: string) => /^(0\.0\.0\.0|\[?::\]?)$/.test(address);
  if (!nodeUrl && isEverywhere(nodeHost))
    problems.push(
      `${variable('nodeHost')} is every address of this machine: ${variable('nodeUrl')} must say which to use`,
    );
  if (!publicUrl && isEverywhere(host))
    problems.push(
      `${variable('host')} is every address of this machine: ${variable('publicUrl')} must say which to use`,
    );
  if (!settings.appId && settings.apps.length === 0)
    problems.push('a fleet needs apps that all its nodes have in their settings; none is set here');
  if (!settings.customerId && settings.customers.length === 0)
    problems.push('a fleet needs customers that all its nodes have in their settings; none is set here');
  return problems;
}

function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '');
  return name.toLowerCase() === 'localhost' || (isIP(name) !== 0 && addressKind(name) === 'loopback');
}

function settle(settings: Settings, cwd: string): Config {
  const { appId, appCertificate, customerId, customerSecret, apps, customers, ...others } = settings;
  const { notifyUrl, notifySecret, notifyEvents, ...rest } = others;
  const dataDir = resolve(cwd, rest.dataDir);
  const defaultNotifications = notifyUrl ? { url: notifyUrl, secret: notifySecret, events: notifyEvents } : undefined;
  const pathOf = (path: string) => path && resolve(cwd, path);
  return {
    ...rest,
    tlsCertFile: pathOf(rest.tlsCertFile),
    tlsKeyFile: pathOf(rest.tlsKeyFile),
    nodeTlsCertFile: pathOf(rest.nodeTlsCertFile),
    nodeTlsKeyFile: pathOf(rest.nodeTlsKeyFile),
    nodeTlsCaFile: pathOf(rest.nodeTlsCaFile),
    nodeName: rest.nodeName || hostname(),
    nodeUrl: rest.nodeUrl.replace(/\/$/, ''),
    publicUrl: rest.publicUrl.replace(/\/$/, ''),
    defaultNotifications,
    dataDir,
    backupDir: rest.backupDir ? resolve(cwd, rest.backupDir) : resolve(dataDir, 'backup'),
    storageNetworks: rest.storageNetworks ?? (isLoopback(rest.host) ? ['loopback'] : []),
    imageNetworks: rest.imageNetworks ?? (isLoopback(rest.host) ? ['loopback'] : []),
    localStorageDir: rest.localStorageDir ? resolve(cwd, rest.localStorageDir) : resolve(dataDir, 'recordings'),
    apps: [
      ...(appId
        ? [
            {
              appid: appId,
              certificate: appCertificate || undefined,
              recording: true,
              notifications: defaultNotifications,
            },
          ]
        : []),
      ...apps.map(({ id, certificate, recording, retentionDays, notifications }) => ({
        appid: id,
        certificate: certificate || undefined,
        recording,
        ...(retentionDays !== undefined && { retentionDays }),
        notifications,
      })),
    ],
    customers: [
      ...(customerId ? [{ id: customerId, secret: customerSecret, apps: undefined }] : []),
      ...customers.map(({ id, secret, apps }) => ({ id, secret, apps })),
    ],
  };
}
