/**
 * The process that pushes for one recording: it reads encoded samples and sends them to every wanted address. It ends
 * with its input, and with the recorder that started it.
 */
import { AllowedAddresses } from '../../kernel/address.ts';
import { systemClock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import { Push } from './push.ts';
import { SampleReader, wantedSchema } from './wire.ts';

const TELL_EVERY_MS = 1_000;

/** Resolves with the process's exit code. */
export function runPushes(): Promise<number> {
  const clock = systemClock;
  const reader = new SampleReader();
  const pushes = new Map<string, Push>();
  return new Promise((exit) => {
    const tell = () => {
      if (process.connected) process.send?.([...pushes.values()].map(({ state }) => state));
    };
    const want = (message: unknown) => {
      const { streams, targets, networks, onhold } = wantedSchema.parse(message);
      const allowed = new AllowedAddresses(networks);
      for (const [id, push] of pushes) {
        if (targets.some((target) => target.id === id)) push.hold(onhold);
        else {
          pushes.delete(id);
          void push.close();
        }
      }
      for (const target of targets) {
        if (pushes.has(target.id)) continue;
        const permits = (address: string) => allowed.permits(address);
        pushes.set(target.id, new Push({ target, streams, clock, permits, onhold, onChanged: tell }));
      }
      tell();
    };
    const fail = (error: unknown) => {
      process.stderr.write(`aircheck push: ${messageOf(error)}\n`);
      exit(1);
    };

    process.on('message', (message) => {
      try {
        want(message);
      } catch (error) {
        fail(error);
      }
    });
    process.stdin.on('data', (bytes: Buffer) => {
      try {
        for (const sample of reader.read(bytes)) for (const push of pushes.values()) push.write(sample);
      } catch (error) {
        fail(error);
      }
    });
    process.stdin.on('end', () => {
      void Promise.all([...pushes.values()].map((push) => push.close())).then(() => {
        tell();
        exit(0);
      });
    });
    // Without its recorder there is nothing to push.
    process.on('disconnect', () => exit(0));
    process.stdin.on('error', () => exit(0));
    // The recorder decides what these signals mean.
    process.on('SIGINT', () => {});
    process.on('SIGTERM', () => {});
    process.on('uncaughtException', fail);
    process.on('unhandledRejection', fail);
    clock.every(TELL_EVERY_MS, tell);
  });
}
