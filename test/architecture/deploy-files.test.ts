/** Holds what `deploy` has for containers and services to their formats, to the settings, and to each other. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { DockerfileParser } from 'dockerfile-ast';
import { validate } from 'dockerfile-utils';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig, unknownVariables } from '../../src/config/load.ts';
import { environmentName, settingsShape } from '../../src/config/settings.ts';
import { docPages } from '../../src/http/doc-pages.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const json = (file: string) => JSON.parse(read(file)) as Record<string, unknown>;
const { version, engines } = json('package.json') as { version: string; engines: { node: string } };

describe('the Dockerfile', () => {
  const text = read('deploy/docker/Dockerfile');
  const file = DockerfileParser.parse(text);
  const keywords = (name: string) => file.getInstructions().filter((each) => each.getKeyword() === name);

  test('has no fault that its linter knows', () => {
    expect(validate('FRM x\n').length).toBeGreaterThan(0);
    expect(validate(text).map(({ message, range }) => `${range.start.line + 1}: ${message}`)).toEqual([]);
  });

  test('copies only what .dockerignore lets in, and all of that', () => {
    const allowed = [...read('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, name]) => name);
    const copied = file
      .getCOPYs()
      .filter((each) => !each.getFromFlag())
      .flatMap((each) => each.getArguments().slice(0, -1))
      .map((argument) => argument.getValue());
    expect([...new Set(copied)].toSorted()).toEqual(allowed.toSorted());
  });

  test('has the pages that the server gives out, and no pictures of theirs', async () => {
    const into = file.getCOPYs().filter((each) => !each.getFromFlag());
    const copied = into.flatMap((each) => each.getArguments().map((argument) => argument.getValue()));
    expect((await docPages()).length).toBeGreaterThan(20);
    for (const name of ['README.md', 'docs']) expect(copied).toContain(name);
    expect(read('.dockerignore')).toMatch(/^docs\/\*\*\/\*\.png$/m);
  });

  test('has the compiler settings that the build is started with', () => {
    const named = [...read('scripts/build.ts').matchAll(/'(tsconfig[\w.]*\.json)'/g)].map(([, name]) => name!);
    expect(named.length).toBeGreaterThan(1);
    const base = named.map((name) => (json(name)['extends'] as string).replace('./', ''));
    const allowed = read('.dockerignore').split('\n');
    expect([...named, ...base].filter((name) => !allowed.includes(`!${name}`))).toEqual([]);
  });

  test('is run by a user without rights, and has settings that exist', () => {
    expect(keywords('USER').map((each) => each.getRawArgumentsContent())).toEqual(['10001']);
    const set = Object.fromEntries(
      [...text.matchAll(/\b(AIRCHECK_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]),
    );
    expect(Object.keys(set).length).toBeGreaterThan(1);
    expect(unknownVariables(set)).toEqual([]);
    expect(loadConfig({ env: set, cwd: tmpdir() }).dataDir).toBe('/data');
  });

  test('opens the ports that are the default', () => {
    const exposed = keywords('EXPOSE')[0]?.getRawArgumentsContent();
    const { port, rtcPort, nodePort } = loadConfig({ env: {}, cwd: tmpdir() });
    expect(exposed).toBe(`${port}/tcp ${rtcPort}/udp ${nodePort}/tcp 7303/tcp`);
  });

  test('installs for web pages what setup.sh does', () => {
    const packagesIn = (source: string) => source.match(/\bchromium\b[\s\S]*?fonts-dejavu-core/)?.[0].split(/[\s\\]+/);
    expect(packagesIn(text)).toEqual(packagesIn(read('scripts/setup.sh')));
  });
});

test('whoever installs the npm package leaves out what package.json does, which counts in a clone alone', () => {
  const { overrides } = json('package.json') as { overrides: Record<string, Record<string, string>> };
  const left = Object.values(overrides).flatMap((of) => Object.entries(of));
  const words = left.map(([name, instead]) => `overrides.${name}=${instead}`);
  expect(words.length).toBeGreaterThan(1);
  for (const file of ['docs/guide/install.md', 'deploy/try-package.sh']) {
    const commands = [...read(file).matchAll(/npm pkg set (.*)/g)].map(([, given]) => given!.split(' ').toSorted());
    expect([file, commands.length > 0]).toEqual([file, true]);
    for (const given of commands) expect([file, given]).toEqual([file, words.toSorted()]);
  }
});

describe('the compose file', () => {
  type Service = { environment?: Record<string, string>; image: string; stop_grace_period?: string };
  const text = read('deploy/compose/compose.yaml');
  const compose = parse(text) as { services: Record<string, Service> };

  const tool = spawnSync('docker-compose', ['--version']).status === 0;
  test.runIf(tool)('is understood by Compose', () => {
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-compose-'));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const filled = read('deploy/compose/.env.example').replace(/=$/gm, '=x');
    writeFileSync(join(dir, '.env'), filled);
    const args = ['--env-file', join(dir, '.env'), '--file', join(ROOT, 'deploy/compose/compose.yaml'), 'config', '-q'];
    const { status, stdout, stderr } = spawnSync('docker-compose', args, { encoding: 'utf8' });
    expect({ status, said: `${stdout}${stderr}` }).toEqual({ status: 0, said: '' });
  });

  test('sets only what is a setting, asks for what must be chosen, and its example names each', () => {
    const { environment = {} } = compose.services['aircheck']!;
    expect(unknownVariables(environment)).toEqual([]);
    const wanted = [...new Set([...text.matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name))];
    const example = [...read('deploy/compose/.env.example').matchAll(/^(\w+)=/gm)].map(([, name]) => name);
    expect(example.toSorted()).toEqual(wanted.toSorted());
    // No variable may be left out silently.
    expect(text.match(/\$\{\w+\}/g)).toBeNull();
  });

  test('gives a server longer to end than it takes, and pins each image', () => {
    const { environment, stop_grace_period: grace } = compose.services['aircheck']!;
    expect(Number.parseInt(grace!, 10)).toBeGreaterThan(Number(environment!['AIRCHECK_SHUTDOWN_TIMEOUT_S']));
    for (const { image } of Object.values(compose.services)) expect(image).toMatch(/:\d[\w.-]*$/);
    expect(compose.services['aircheck']?.image).toBe(`aircheck:${version}`);
  });
});

describe('the chart', () => {
  const CHART = 'deploy/helm/aircheck';
  const schema = json(`${CHART}/values.schema.json`);
  const values = parse(read(`${CHART}/values.yaml`)) as Record<string, unknown>;
  const check = new Ajv({ allowUnionTypes: true }).compile(schema);

  test('its values fit their schema, which refuses what is misspelt or wrong', () => {
    expect(check(values) ? [] : check.errors).toEqual([]);
    for (const wrong of [
      { replicas: 2 },
      { replicaCount: -1 },
      { ports: { http: 7300, rtc: 70_000, node: 7302, metrics: 7303 } },
      { settings: { dataDir: '/elsewhere' } },
      { settings: { databaseUrl: 'postgres://…' } },
      { secrets: { databaseUrl: 'postgres://…' } },
      { persistence: { size: 'much' } },
    ])
      expect(check({ ...values, ...wrong }), JSON.stringify(wrong)).toBe(false);
  });

  test('every value is in the schema and used by a template, and templates use no other', () => {
    const templates = [
      ...['_helpers.tpl', 'NOTES.txt', 'statefulset.yaml', 'services.yaml', 'configmap.yaml', 'secret.yaml'],
      ...['poddisruptionbudget.yaml', 'horizontalpodautoscaler.yaml', 'podmonitor.yaml'],
    ].map((name) => read(`${CHART}/templates/${name}`));
    const used = new Set([...templates.join('\n').matchAll(/\.Values\.(\w+)/g)].map(([, name]) => name));
    expect([...used].toSorted()).toEqual(Object.keys(values).toSorted());
    const { properties } = schema as { properties: Record<string, unknown> };
    expect(
      Object.keys(properties)
        .filter((name) => name !== 'global')
        .toSorted(),
    ).toEqual(Object.keys(values).toSorted());
  });

  test('its variables are settings, and its version is that of the package', () => {
    const stateful = read(`${CHART}/templates/statefulset.yaml`);
    const variables = [...stateful.matchAll(/- name: (AIRCHECK_\w+)/g)].map(([, name]) => name!);
    expect(variables.length).toBeGreaterThan(8);
    expect(unknownVariables(Object.fromEntries(variables.map((name) => [name, 'x'])))).toEqual([]);
    const about = parse(read(`${CHART}/Chart.yaml`)) as { appVersion: string };
    expect(about.appVersion).toBe(version);
    // What the chart sets itself cannot be set by `settings`.
    const { not } = (schema as { properties: { settings: { propertyNames: { not: { enum: string[] } } } } }).properties
      .settings.propertyNames;
    const own = variables.filter((name) => name !== 'AIRCHECK_CONFIG');
    expect(own.filter((name) => !not.enum.map(environmentName).includes(name))).toEqual([]);
    expect(not.enum.filter((key) => !(key in settingsShape))).toEqual([]);
  });

  test('gives a server longer to end than a hand-over and a shutdown take', () => {
    const stateful = read(`${CHART}/templates/statefulset.yaml`);
    const [, moreS] =
      /GracePeriodSeconds: \{\{ add .Values.drainSeconds .Values.shutdownTimeoutSeconds (\d+) \}\}/.exec(stateful)!;
    expect(Number(moreS)).toBeGreaterThan(2 * loadConfig({ env: {}, cwd: tmpdir() }).handOverTimeoutS);
  });

  const helm = spawnSync('helm', ['version']).status === 0;
  test.runIf(helm)('Helm finds nothing to blame, and refuses several servers without a Postgres', () => {
    const run = (...args: string[]) => spawnSync('helm', args, { cwd: ROOT, encoding: 'utf8' });
    const { status, stdout } = run('lint', '--strict', CHART);
    expect(`${status} ${status === 0 ? '' : stdout}`).toBe('0 ');
    expect(run('template', 'x', CHART).status).toBe(0);
    const several = run('template', 'x', CHART, '--set', 'replicaCount=2');
    expect(several.stderr).toContain('several servers need a Postgres');
  });
});

test('containers run commands that the program has', () => {
  const program = [...read('src/app/cli/commands.ts').matchAll(/\.command\('([\w-]+)/g)].map(([, name]) => name!);
  const chart = ['statefulset.yaml', 'NOTES.txt'].map((name) => read(`deploy/helm/aircheck/templates/${name}`));
  const forms = /\[aircheck, (\w+)|args: \[(\w+)\]|-- aircheck (\w+)|\["aircheck", "(\w+)"\]|^CMD \["(\w+)"\]/gm;
  const run = [read('deploy/docker/Dockerfile'), ...chart].flatMap((text) =>
    [...text.matchAll(forms)].flatMap(([, ...names]) => names.filter((name) => name !== undefined)),
  );
  expect(run.toSorted()).toEqual(['doctor', 'drain', 'health', 'health', 'serve', 'serve']);
  expect(run.filter((name) => !program.includes(name))).toEqual([]);
});

describe('the systemd units', () => {
  const unit = read('deploy/systemd/aircheck.service');

  test('start the installed program, with Node and settings that exist', () => {
    const { bin } = json('package.json') as { bin: { aircheck: string } };
    expect(unit).toContain(`ExecStart=/usr/bin/node /opt/aircheck/node_modules/aircheck/${bin.aircheck} serve`);
    const set = Object.fromEntries(
      [...unit.matchAll(/\b(AIRCHECK_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]),
    );
    expect(unknownVariables(set)).toEqual([]);
    // A reload ends the server, and a restart policy has the next one go on with its recordings.
    expect(unit).toMatch(/^ExecReload=\/bin\/kill -HUP \$MAINPID$/m);
    expect(unit).toMatch(/^Restart=always$/m);
    const { shutdownTimeoutS } = loadConfig({ env: {}, cwd: tmpdir() });
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])).toBeGreaterThan(2 * shutdownTimeoutS);
    expect(read('docs/guide/install.md')).toContain(`Node ${engines.node.replace('>=', '')} or newer`);
  });

  const systemd = spawnSync('systemd-analyze', ['--version']).status === 0;
  test.runIf(systemd)('have no fault that systemd knows, alone and with what web pages need', () => {
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-unit-'));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    // The programs that it names need not be installed here.
    const here = unit
      .replace('/usr/bin/node /opt', `${process.execPath} /opt`)
      .replace(/^(User|Group)=.*$/gm, '$1=root');
    const path = join(dir, 'aircheck.service');
    const exposureOf = (text: string) => {
      writeFileSync(path, text);
      const verified = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' });
      expect(verified.stderr.split('\n').filter((line) => line.includes('aircheck'))).toEqual([]);
      expect(verified.status).toBe(0);
      const judged = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', path], {
        encoding: 'utf8',
      });
      return Number(/exposure level for \S+: ([\d.]+)/.exec(judged.stdout)?.[1]);
    };
    // Of 10; systemd calls 2 to 5 "ok to medium".
    expect(exposureOf(here.replace(/^(User|Group)=root$/gm, '$1=daemon'))).toBeLessThan(2.5);
    const withPages = here.replace(
      /\n\[Install\]/,
      `\n${read('deploy/systemd/pages.conf').replace('[Service]', '')}\n[Install]`,
    );
    expect(exposureOf(withPages.replace(/^(User|Group)=root$/gm, '$1=daemon'))).toBeLessThan(4.5);
  });
});
