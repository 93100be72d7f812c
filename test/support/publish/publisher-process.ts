/**
 * The process of one publisher: takes its job as JSON in the first argument, reports to its parent, obeys its commands,
 * and leaves when the parent is gone.
 */
import { FfmpegPublisher } from './ffmpeg-publisher.ts';
import type { PublisherCommand, PublisherJob, PublisherReport, RtcPublishOptions } from './publisher.ts';
import { ReturningPublisher } from './returning-publisher.ts';
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

/**
 * On a busy machine node-datachannel 0.33.4 sometimes has no ICE any more by the time an answer comes, or gives it up
 * right after. It is said and tried once more, as a client of a user's would.
 */
const lostIce = (error: unknown) =>
  error instanceof Error && /without ICE transport|^the connection failed$/.test(error.message);

function rtcPublisher(options: RtcPublishOptions, onFailure: (error: unknown) => void) {
  if (!options.comesBack) return new RtcPublisher(options, onFailure);
  return new ReturningPublisher(options, (type) => void report({ type, atMs: Date.now() }), onFailure);
}

async function run(): Promise<void> {
  const onFailure = (error: unknown) => void fail(error);
  const waits = job.client === 'rtc' && job.options.waits;
  const rtcs = job.client === 'ffmpeg' ? [] : [job.options].flat().map((options) => rtcPublisher(options, onFailure));
  const others = job.client === 'ffmpeg' ? [await FfmpegPublisher.start(job.options, onFailure)] : [];
  const join = async () => {
    // One after another: a crowd that connects at once is another test.
    for (const [n, each] of rtcs.entries()) {
      try {
        await each.join();
      } catch (error) {
        if (!lostIce(error) || job.client === 'ffmpeg') throw error;
        process.stderr.write(`publisher connects again: ${(error as Error).message}\n`);
        await each.stop();
        rtcs[n] = rtcPublisher([job.options].flat()[n]!, onFailure);
        await rtcs[n].join();
      }
    }
    await report({ type: 'publishing' });
  };
  const leave = async () => {
    await Promise.all([...rtcs, ...others].map((each) => each.stop()));
    await report({ type: 'done' });
    process.exit(0);
  };
  process.on('disconnect', () => leave().catch(() => process.exit(1)));
  // Ctrl-C goes to the whole group; the parent decides when to leave.
  process.on('SIGINT', () => {});
  process.on('message', async (command: PublisherCommand) => {
    try {
      if (command.does === 'stop') return await leave();
      const [rtc] = rtcs;
      if (!rtc || job.client !== 'rtc') throw new Error(`${job.client} cannot ${command.does}`);
      if (command.does === 'join') return await join();
      rtc.obey(command);
      await report({ type: 'done' });
    } catch (error) {
      await fail(error);
    }
  });
  if (waits) await report({ type: 'waiting' });
  else await join();
}

run().catch(fail);
