/**
 * The process of one publisher: takes its job as JSON in the first argument, reports to its parent, obeys its commands,
 * and leaves when the parent is gone.
 */
import { FfmpegPublisher } from './ffmpeg-publisher.ts';
import type { PublisherCommand, PublisherJob, PublisherReport } from './publisher.ts';
import { RtcPublisher } from './rtc-publisher.ts';

const job = JSON.parse(process.argv[2] ?? '{}') as PublisherJob;
const report = (message: PublisherReport) =>
  new Promise<void>((resolve) => {
    if (process.connected) process.send?.(message, () => resolve());
    else resolve();
  });
const fail = async (error: unknown) => {
  await report({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
  process.exit(1);
};

async function run(): Promise<void> {
  const publisher =
    job.client === 'ffmpeg'
      ? await FfmpegPublisher.start(job.options, fail)
      : await RtcPublisher.start(job.options, fail);
  const leave = async () => {
    await publisher.stop();
    await report({ type: 'done', command: 'stop' });
    process.exit(0);
  };
  process.on('disconnect', () => leave().catch(() => process.exit(1)));
  // Ctrl-C goes to the whole group; the parent decides when to leave.
  process.on('SIGINT', () => {});
  process.on('message', async (command: PublisherCommand) => {
    try {
      if (command === 'stop') return await leave();
      if (!(publisher instanceof RtcPublisher)) throw new Error(`FFmpeg's client cannot ${command}`);
      publisher[command]();
      await report({ type: 'done', command });
    } catch (error) {
      await fail(error);
    }
  });
  await report({ type: 'publishing' });
}

run().catch(fail);
