/** Holds what `deploy` has for Prometheus and Grafana to the metrics that there are. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { CATALOG, type MetricAbout } from '../../src/observe/catalog.ts';

const DEPLOY = join(import.meta.dirname, '../../deploy');
const METRICS = new Map(Object.values(CATALOG).map((about: MetricAbout) => [about.name, about]));
/** What Prometheus itself makes: of each target, and of alerts. */
const OF_PROMETHEUS = new Set(['up']);

type Rule = { alert: string; expr: string; labels: { severity: string }; annotations: Record<string, string> };
const rules = (
  parse(readFileSync(join(DEPLOY, 'prometheus/alerts.yaml'), 'utf8')) as { groups: { rules: Rule[] }[] }
).groups.flatMap((group) => group.rules);
type Panel = { title: string; targets?: { expr: string }[] };
const board = JSON.parse(readFileSync(join(DEPLOY, 'grafana/aircheck.json'), 'utf8')) as {
  panels: Panel[];
  templating: { list: { query: unknown }[] };
};

/** The metrics that a PromQL expression names, each with the labels it is matched by. */
function namedIn(expr: string): { name: string; labels: string[] }[] {
  return [...expr.matchAll(/\b((?:aircheck|process|nodejs)_\w+|up)\b(?:\{([^}]*)\})?/g)].map(([, name, matchers]) => ({
    name: name!,
    labels: [...(matchers ?? '').matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map((matcher) => matcher[1]!),
  }));
}

function faultsOf(expr: string): string[] {
  return namedIn(expr).flatMap(({ name, labels }) => {
    if (OF_PROMETHEUS.has(name)) return [];
    const base = name.replace(/_(bucket|sum|count)$/, '');
    const about = METRICS.get(name) ?? METRICS.get(base);
    if (!about) return [`${name} does not exist`];
    if ((about.kind === 'histogram') !== (about.name !== name)) return [`${name} is no series of ${about.name}`];
    // Prometheus adds these to whatever it scrapes.
    const known = new Set([...about.labels, 'instance', 'job', 'le']);
    return labels.filter((label) => !known.has(label)).map((label) => `${name} has no label ${label}`);
  });
}

test('a wrong name, series or label is found', () => {
  expect(faultsOf('rate(aircheck_nothing_total[5m])')).toEqual(['aircheck_nothing_total does not exist']);
  expect(faultsOf('aircheck_recordings{status="x"}')).toEqual(['aircheck_recordings has no label status']);
  expect(faultsOf('aircheck_lease_renewal_duration_seconds')).toHaveLength(1);
  expect(faultsOf('aircheck_publishers_bucket')).toHaveLength(1);
});

test('alerts name only metrics and labels that exist, and each says what to make of it', () => {
  expect(rules.length).toBeGreaterThan(10);
  expect(rules.flatMap(({ expr }) => faultsOf(expr))).toEqual([]);
  for (const { expr } of rules) expect(namedIn(expr)).not.toEqual([]);
  for (const { alert, labels, annotations } of rules) {
    expect(['warning', 'critical'], alert).toContain(labels.severity);
    expect(Object.keys(annotations).toSorted(), alert).toEqual(['description', 'summary']);
  }
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
});

test('the board names only metrics and labels that exist, and shows every one but those of a process’s start', () => {
  const exprs = board.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  expect(exprs.flatMap(faultsOf)).toEqual([]);
  const shown = new Set([...exprs, JSON.stringify(board.templating)].flatMap(namedIn).map(({ name }) => name));
  const unseen = [...METRICS.values()].filter(({ name }) => !shown.has(name) && !shown.has(`${name}_bucket`));
  expect(unseen.map(({ name }) => name)).toEqual([
    'aircheck_spool_size_bytes',
    'aircheck_database_up',
    'nodejs_heap_size_used_bytes',
    'process_start_time_seconds',
  ]);
});

test('the chart adds servers by a metric that exists', () => {
  const scaler = readFileSync(join(DEPLOY, 'helm/aircheck/templates/horizontalpodautoscaler.yaml'), 'utf8');
  const named = [...scaler.matchAll(/\baircheck_\w+/g)].map(([name]) => name);
  expect(named).toHaveLength(1);
  expect(METRICS.get(named[0]!)).toMatchObject({ kind: 'gauge', labels: [] });
});

test('each panel of the board has a place of its own', () => {
  const places = (board.panels as (Panel & { gridPos: { x: number; y: number; w: number; h: number } })[]).map(
    ({ gridPos: { x, y, w, h } }) => ({ x, y, right: x + w, bottom: y + h }),
  );
  const overlaps = places.filter((a, n) =>
    places.slice(n + 1).some((b) => a.x < b.right && b.x < a.right && a.y < b.bottom && b.y < a.bottom),
  );
  expect(overlaps).toEqual([]);
  expect(Math.max(...places.map(({ right }) => right))).toBeLessThanOrEqual(24);
});

const promtool = spawnSync('promtool', ['--version']).status === 0;
test.runIf(promtool)('Prometheus’ own tool takes the rules, and they fire when they should', () => {
  for (const args of [
    ['check', 'rules', join(DEPLOY, 'prometheus/alerts.yaml')],
    ['test', 'rules', join(DEPLOY, 'prometheus/alerts.test.yaml')],
  ]) {
    const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' });
    expect({ args, status, said: status === 0 ? '' : stdout + stderr }).toEqual({ args, status: 0, said: '' });
  }
});
