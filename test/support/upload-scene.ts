/** Files of a recording on their way to a store whose every put waits for the test to say how it ends. */
import type { ObjectRecord } from '../../src/contract/line/objects.ts';
import { Fault } from '../../src/kernel/fault.ts';
import type { Segment, WholeFile } from '../../src/media/segment.ts';
import { memoryLedger } from '../../src/stages/upload/ledger.ts';
import {
  RecordingUpload,
  type RecordingUploadOptions,
  type UploadEvent,
} from '../../src/stages/upload/recording-upload.ts';
import type { Source } from '../../src/stages/upload/target/source.ts';
import type { PutOptions, Receipt, Target } from '../../src/stages/upload/target/target.ts';
import { ManualClock } from './manual-clock.ts';

export const slice = (index: number): Segment => ({
  type: 'slice',
  name: `x_${index}.ts`,
  playlist: 'x.m3u8',
  index,
  startUtcMs: 1000 + index * 15_000,
  durationUs: 15_000_000,
  bytes: 100 + index,
  discontinuity: index === 0,
  starts: [],
  rotations: [],
});
export const mp4: WholeFile = {
  type: 'mp4',
  name: 'x_0.mp4',
  index: 0,
  startUtcMs: 1000,
  durationUs: 30_000_000,
  bytes: 9,
};

export const down = new Fault('store-failed', 'the store is down', { blame: 'destination', retryable: true });
export const denied = new Fault('store-failed', 'access denied', { blame: 'destination' });

export type PutCall = {
  key: string;
  source: Source;
  contentType: string;
  succeed(): void;
  fail(error: unknown): void;
  aborted: boolean;
  options: PutOptions;
};

/** A store whose every put waits for the test to say how it ends. */
class FakeTarget implements Target {
  readonly description = 'a fake';
  open: PutCall[] = [];
  keys: string[] = [];
  most = 0;

  put(key: string, source: Source, contentType: string, options: PutOptions = {}): Promise<Receipt> {
    const { signal } = options;
    this.keys.push(key);
    return new Promise((resolve, reject) => {
      const settle = (run: () => void) => {
        this.open = this.open.filter((c) => c !== call);
        run();
      };
      const bytes = 'data' in source ? source.data.length : source.bytes;
      const call: PutCall = {
        key,
        source,
        contentType,
        options,
        aborted: false,
        succeed: () => settle(() => resolve({ key, bytes, evidence: 'digest' })),
        fail: (error) => settle(() => reject(error)),
      };
      signal?.addEventListener('abort', () => {
        call.aborted = true;
      });
      this.open.push(call);
      this.most = Math.max(this.most, this.open.length);
    });
  }

  call(name: string): PutCall {
    const call = this.open.find(({ key }) => key.endsWith(name));
    if (!call) throw new Error(`nobody is storing ${name}; open are: ${this.open.map((c) => c.key).join(' ')}`);
    return call;
  }

  async abandon(): Promise<void> {}
  async sweep(): Promise<void> {}
  async fetch(): Promise<void> {}
  async remove(): Promise<void> {}
  async has(): Promise<boolean> {
    return false;
  }
  async erase(): Promise<undefined> {
    return undefined;
  }
  close(): void {}
}

/** Lets everything run that waits for nothing but its turn. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** What the upload of a recording is given that others have a part in; nothing unless told otherwise. */
type Shared = Pick<RecordingUploadOptions, 'stretches' | 'certainty'> & { known?: readonly ObjectRecord[] };

export function uploadScene(prefix: string[] = ['a', 'b'], { known = [], ...shared }: Shared = {}) {
  const target = new FakeTarget();
  const clock = new ManualClock();
  const events: UploadEvent[] = [];
  const ledger = memoryLedger();
  for (const record of known) ledger.note(record);
  const upload = new RecordingUpload({
    ...shared,
    target,
    prefix,
    ledger,
    renderIndex: (_name, rows) =>
      rows
        .flat()
        .map((s) => `${s.discontinuity ? '!' : ''}${s.index}`)
        .join(' '),
    clock,
    log: { info() {}, warn() {} },
    onEvent: (event) => events.push(event),
    random: () => 0,
  });
  const store = async (name: string) => {
    target.call(name).succeed();
    await settled();
  };
  const fail = async (name: string, error: unknown) => {
    target.call(name).fail(error);
    await settled();
  };
  const listed = () => {
    const { source } = target.call('.m3u8');
    return 'data' in source ? source.data.toString() : '';
  };
  return { target, clock, events, upload, store, fail, listed, ledger };
}
