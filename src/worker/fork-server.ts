/**
 * The process that forks for the server (`forks.ts`). It stays small, so that a fork is soon over and no packets wait
 * for it. When the server is gone the children learn of it by the end of their channels, those without one are ended,
 * and this process ends after them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { messageOf } from '../kernel/fault.ts';
import type { ForkEnd, ForkOrder, ForkReport, ForkSpec } from './forks.ts';
import { signalGroup } from './process-identity.ts';

const children = new Map<number, ChildProcess>();

function tell(report: ForkReport): void {
  if (process.connected) process.send?.(report, undefined, undefined, () => {});
}

function launch({ entry, args, flags, env, input }: ForkSpec): ChildProcess {
  return spawn(process.execPath, [...flags, entry, ...args], {
    env,
    stdio: input === undefined ? ['ignore', 'ignore', 'pipe', 'ipc'] : ['pipe', 'pipe', 'pipe'],
    // A group of its own, so that nothing it starts outlives it.
    detached: true,
  });
}

function start(n: number, spec: ForkSpec): void {
  const { input } = spec;
  const talks = input === undefined;
  let child: ChildProcess;
  try {
    child = launch(spec);
  } catch (error) {
    // As for want of memory. Thrown, it would end this process, and with it the children of everybody else.
    tell({ type: 'closed', n, end: { lost: messageOf(error) } });
    return;
  }
  const { pid } = child;
  const close = (end: ForkEnd) => {
    if (children.delete(n)) tell({ type: 'closed', n, end });
  };
  children.set(n, child);
  child.on('error', (error) => {
    if (pid === undefined) close({ lost: messageOf(error) });
    else tell({ type: 'troubled', n, error: messageOf(error) });
  });
  if (pid === undefined) return;
  tell({ type: 'started', n, pid });
  child.on('message', (message) => tell({ type: 'heard', n, message }));
  for (const from of ['stdout', 'stderr'] as const) {
    const stream = child[from];
    if (stream) createInterface({ input: stream }).on('line', (line) => tell({ type: 'line', n, from, line }));
  }
  child.on('exit', (code, signal) => {
    signalGroup(pid, 'SIGKILL');
    // After we disconnected a child Node reports no `close`, and there is nothing to wait for.
    if (talks && !child.connected) close({ code, signal });
  });
  // `close` rather than `exit`: what is still in the pipes is read before it.
  child.on('close', (code, signal) => close({ code, signal }));
  if (child.stdin) {
    // A process that ends before it has read its work is told of by its exit code.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  }
}

process.on('message', (order: ForkOrder) => {
  const child = children.get(order.n);
  if (order.type === 'start') start(order.n, order.spec);
  // A child that is ending has closed its channel.
  else if (!child?.connected) return;
  else if (order.type === 'send') child.send(order.message as object, () => {});
  else child.disconnect();
});
process.on('disconnect', () => {
  for (const child of children.values())
    if (child.connected) child.disconnect();
    // It works on what it was told on standard input. Nobody takes what it makes, and the next server has it made anew:
    // beside that it would take time and disk for hours, and write where the new one does.
    else if (child.stdin && child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
});
// Whoever signals all processes of a unit or a terminal means the server. This process ends when the server does.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
