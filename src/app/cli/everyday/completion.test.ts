import { execFileSync } from 'node:child_process';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { addMakingCommands } from '../making-commands.ts';
import { addEverydayCommands } from './commands.ts';
import { completion } from './completion.ts';

const program = new Command('aircheck').description('for tests');
program.command('store').description('look after stores').command('test <config>').description('it’s tried [now]: all');
program.command('kept-secret', { hidden: true });
addEverydayCommands(program);
addMakingCommands(program);

/** What bash completes the last of these words to. */
function completed(...words: string[]): string[] {
  const script = `${completion('bash', program)}
COMP_WORDS=(aircheck ${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length}
_aircheck
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const printed = execFileSync('bash', ['-c', script], { encoding: 'utf8', cwd: '/' });
  return printed.split('\n').filter((line) => line !== '');
}

describe('bash', () => {
  test('commands, those of a command, options, and what an option may be', () => {
    expect(completed('rec')).toEqual(['record', 'recordings']);
    expect(completed('store', '')).toContain('test');
    expect(completed('record', 'room', '--la')).toEqual(['--layout']);
    expect(completed('record', 'room', '--layout', '')).toEqual(['floating', 'best-fit', 'vertical']);
    expect(completed('events', '--state', 'd')).toEqual(['delivered', 'dead']);
    expect(completed('completion', 'z')).toEqual(['zsh']);
    expect(completed('publish', 'c')).toEqual(['camera']);
    expect(completed('publish', 'camera', '--d')).toEqual(['--device']);
    expect(completed('remove-person', '--y')).toEqual(['--yes']);
    expect(completed('retention', '--d')).toEqual(['--days', '--delete']);
    expect(completed('cut', '--')).toEqual(expect.arrayContaining(['--from', '--to', '--server', '--json']));
    expect(completed('mix', 'x', '--layout', 'c')).toEqual(['custom']);
  });

  test('files, where anything else may stand', () => {
    expect(completed('inspect', 'et')).toContain('etc');
    expect(completed('publish', 'et')).toContain('etc');
    expect(completed('record', 'room', '--storage', 'et')).toContain('etc');
  });

  test('nothing of what is for the server itself', () => {
    expect(completed('kept')).toEqual([]);
  });
});

test.each(['zsh', 'fish'])('%s: every command and option is named, and quotes are closed', (shell) => {
  const script = completion(shell, program);
  for (const command of program.createHelp().visibleCommands(program)) {
    expect(script).toContain(command.name());
    for (const { long } of command.options) expect(script).toContain(long?.slice(2));
  }
  expect(script).not.toContain('kept-secret');
  // Everything between quotes taken out, what is left has none.
  const rest = script
    .replace(/^#.*$/gm, '')
    .replace(shell === 'zsh' ? /'[^']*'/g : /'(?:\\.|[^'\\])*'/g, '')
    .replace(/\\'/g, '');
  expect(rest).not.toContain("'");
});

test('another shell is refused with those that there are', () => {
  expect(() => completion('tcsh', program)).toThrow('bash, zsh, fish');
  expect(() => completion('constructor', program)).toThrow('bash, zsh, fish');
});
