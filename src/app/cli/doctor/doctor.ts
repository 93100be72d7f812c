/**
 * `aircheck doctor`: says whether this machine can record with these settings, and what to do about whatever is wrong.
 * It may run beside a server. Exit codes: 0 all is well, 1 nothing can be recorded (or not for long), 2 recordings are
 * made, but something should be seen to.
 */
import { type Config, loadConfig, unknownVariables } from '../../../config/load.ts';
import { type Clock, systemClock } from '../../../kernel/clock.ts';
import { isDataDirTaken } from '../../data-dir-lock.ts';
import { counted } from '../everyday/words.ts';
import { AREAS, examine, type Finding, type Level } from './finding.ts';
import { examineFleet } from './fleet.ts';
import { examineBundle, examineClock, examineDisk, examinePackages } from './machine.ts';
import { examinePages } from './pages.ts';
import { examinePorts } from './ports.ts';
import { examineDatabase, examineStores, examineWebhooks } from './reachable.ts';

const WORDS: Record<Level, string> = { ok: 'ok     ', warning: 'warning', problem: 'problem' };

export async function doctor({ json = false }: { json?: boolean }): Promise<void> {
  const findings = await examineAll(loadConfig(), systemClock);
  const misspelt = unknownVariables();
  if (json) process.stdout.write(`${JSON.stringify({ findings, unknownVariables: misspelt }, null, 2)}\n`);
  else process.stdout.write(reportOf(findings, misspelt));
  process.exitCode = exitCodeOf(findings);
}

/** All findings, area by area. */
export async function examineAll(config: Config, clock: Clock): Promise<Finding[]> {
  const isServing = await isDataDirTaken(config.dataDir);
  const all: Finding[] = [];
  // One after another: an area that takes the disk or a core must not make another look slow.
  for (const area of AREAS)
    all.push(
      ...(await examine(area, () => {
        switch (area) {
          case 'packages':
            return examinePackages().then((found) => [...found, ...examineBundle()]);
          case 'ports':
            return examinePorts(config, isServing, clock);
          case 'clock':
            return examineClock();
          case 'disk':
            return examineDisk(config, clock);
          case 'database':
            return examineDatabase(config, isServing, clock);
          case 'fleet':
            return examineFleet(config, isServing, clock);
          case 'stores':
            return examineStores(config, clock);
          case 'webhooks':
            return examineWebhooks(config, clock);
          case 'pages':
            return examinePages(config);
        }
      })),
    );
  return all;
}

export function exitCodeOf(findings: readonly Finding[]): 0 | 1 | 2 {
  if (findings.some(({ level }) => level === 'problem')) return 1;
  return findings.some(({ level }) => level === 'warning') ? 2 : 0;
}

export function reportOf(findings: readonly Finding[], misspelt: readonly string[]): string {
  const lines = [...misspelt];
  for (const area of AREAS) {
    lines.push(area);
    for (const { level, text, advice } of findings.filter((each) => each.area === area)) {
      lines.push(`  ${WORDS[level]} ${text}`);
      if (advice) lines.push(`          → ${advice}`);
    }
  }
  const count = (level: Level) => findings.filter((each) => each.level === level).length;
  lines.push('', `${counted(count('problem'), 'problem')}, ${counted(count('warning'), 'warning')}`);
  return `${lines.join('\n')}\n`;
}
