import { beforeEach, describe, expect, test } from 'vitest';
import { FakeWorld, settle, taskOf } from '../../test/support/fake-ports.ts';
import { NOTICE_TYPES, type Notice, type NoticeType } from '../contract/webhook/notice.ts';
import { Fault } from '../kernel/fault.ts';
import { ERROR_CODES } from './notices.ts';
import { newTaskState } from './task.ts';
import { TaskRunner } from './task-runner.ts';

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});

function hold(): TaskRunner {
  const task = { ...taskOf(), cname: 'room', uid: '9' };
  world.store.tasks.set(task.sid, { task, state: newTaskState() });
  return new TaskRunner(task, newTaskState(), world.store.holdOf(task.sid), world.ports());
}
const types = (notices: Notice[] = world.store.notices) => notices.map(({ eventType }) => eventType);
const detailsOf = (type: number) => world.store.notices.find((n) => n.eventType === type)?.payload.details;
const mp4 = { type: 'mp4', name: 'a_0.mp4', index: 0, startUtcMs: 1, durationUs: 1, bytes: 100 } as const;

/** A recording from its start to its first playlist. */
async function running({ stored = true } = {}) {
  const runner = hold();
  await runner.start();
  const recorder = world.recorders[0]!;
  recorder.tell({ type: 'ready' });
  recorder.tell({ type: 'joined' });
  await settle();
  const upload = world.uploads[0]!;
  if (stored) upload.tell({ type: 'playlistStored', key: 'dir/a.m3u8', startUtcMs: 1500.7 });
  await settle();
  return { runner, recorder, upload };
}

describe('what is told', () => {
  test.each([
    ['backuped', [32, 11], 'backuped'],
    ['unknown', [31, 11], 'unproved'],
  ] as const)('a recording whose files are %s: %s', async (where, told, outcome) => {
    const { runner, recorder, upload } = await running();
    world.spool(recorder, mp4);
    upload.tell({ type: 'wholeFileStored', key: 'dir/a_0.mp4', startUtcMs: 1 });
    if (where === 'backuped') upload.tell({ type: 'fileBackedUp' });
    const stopping = runner.stop(true);
    await settle();
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    upload.letFinish(where);
    await runner.ended;
    expect(await stopping).toBe(outcome);
    expect(types().slice(-2)).toEqual(told);
    expect(runner.state.uploadedTo).toBe(where);
    expect(detailsOf(2)).toEqual(
      where === 'backuped' ? { msgName: 'cloud_recording_warning', module: 1, warnCode: 32 } : undefined,
    );
  });

  test('a good recording, from the recorder’s start to the exit, each in the shape of its type and without a gap', async () => {
    const { runner, recorder, upload } = await running();
    recorder.tell({ type: 'streamStateChanged', uid: '5', kind: 'audio', receiving: true });
    recorder.tell({ type: 'streamStateChanged', uid: '5', kind: 'video', receiving: true });
    recorder.tell({ type: 'sliceStarted', startUtcMs: 1500.7, discontinueUtcMs: 1500.7, trackType: 'audio' });
    world.spool(recorder, mp4);
    upload.stored = { addedBytes: 300, storedBytes: 100 };
    await settle();
    world.clock.advance(60_000);
    upload.tell({ type: 'wholeFileStored', key: 'dir/a_0.mp4', startUtcMs: 1500.7 });
    void runner.stop(true);
    await settle();
    recorder.tell({ type: 'streamStateChanged', uid: '5', kind: 'audio', receiving: false });
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    upload.letFinish();
    await runner.ended;

    expect(types()).toEqual([40, 30, 4, 43, 44, 42, 33, 43, 41, 31, 11]);
    expect(world.store.notices.map(({ payload }) => payload.sequence)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(new Set(world.store.notices.map(({ noticeId }) => noticeId)).size).toBe(11);
    for (const { eventType, productId, payload } of world.store.notices) {
      const type = NOTICE_TYPES[eventType as NoticeType];
      expect(type.details.safeParse(payload.details).error).toBeUndefined();
      expect([productId, payload.serviceType]).toEqual([3, type.serviceType]);
      expect(payload).toMatchObject({ cname: 'room', uid: '9', sid: runner.task.sid, serviceScene: 'mix_record' });
    }
    expect(detailsOf(4)).toEqual({ msgName: 'cloud_recording_file_infos', fileList: 'dir/a.m3u8' });
    expect(detailsOf(33)).toEqual({ msgName: 'uploading_progress', progress: 3333 });
    expect(detailsOf(41)).toMatchObject({ leaveCode: 16 });
    expect(detailsOf(11)).toMatchObject({ exitStatus: 0 });
    const entry = { trackType: 'audio', uid: '0', mixedAllUser: true, isPlayable: true, sliceStartTime: 1500 };
    expect(detailsOf(31)).toMatchObject({
      fileList: [
        { fileName: 'dir/a.m3u8', ...entry },
        { fileName: 'dir/a_0.mp4', ...entry },
      ],
    });
  });

  test('an output that could not be written, while the recording goes on', async () => {
    const { runner, recorder } = await running();
    recorder.tell({ type: 'outputFailed', what: 'the slices lack something: no space left' });
    await settle();
    expect(types().at(-1)).toBe(1);
    const what = { module: 0, errorLevel: 4, errorCode: ERROR_CODES.notWritten };
    expect(detailsOf(1)).toMatchObject({ ...what, errorMsg: 'the slices lack something: no space left' });
    expect(runner.state).toMatchObject({ phase: 'recording', healthy: true });
  });

  test('each rung that the picture comes to, once, with where it is now', async () => {
    const { runner, recorder } = await running();
    recorder.tell({ type: 'rungChanged', rung: 'fastCoding', lagMs: 1234.5 });
    recorder.tell({ type: 'rungChanged', rung: 'halfRate', lagMs: 2000 });
    // As a run tells that goes on after a lost one.
    recorder.tell({ type: 'rungChanged', rung: 'halfRate', lagMs: 0 });
    recorder.tell({ type: 'rungChanged', rung: 'full', lagMs: 0 });
    await settle();
    const told = world.store.notices.filter(({ eventType }) => eventType === 9002);
    for (const { payload } of told) expect(NOTICE_TYPES[9002].details.safeParse(payload.details).error).toBeUndefined();
    expect(told.map(({ payload }) => payload.details)).toMatchObject([
      { msgName: 'aircheck_degradation_changed', rung: 'fastCoding', depth: 1, lagMs: 1235 },
      { rung: 'halfRate', depth: 3, lagMs: 2000 },
      { rung: 'full', depth: 0 },
    ]);
    expect(runner.state.rung).toBe('full');
    expect(world.lines.filter(({ text }) => text.includes('the whole picture')).map(({ level }) => level)).toEqual([
      ...['warn', 'warn', 'warn', 'warn'],
    ]);
  });

  test.each([
    [109, 'the token has expired'],
    [110, 'the token is for another channel'],
  ] as const)('a token refused with %i is told, and then the exit', async (errorCode, message) => {
    world.tokenRefusal = { errorCode, message };
    const runner = hold();
    await runner.start();
    await runner.ended;
    expect(types()).toEqual([1, 11]);
    expect(detailsOf(1)).toMatchObject({ module: 0, errorLevel: 5, errorCode, stat: 0, errorMsg: message });
    expect(detailsOf(11)).toMatchObject({ exitStatus: 1 });
  });

  test('an idle channel and a shutdown have their own leave codes', async () => {
    const idle = await running();
    idle.recorder.tell({ type: 'ended', reason: 'idle', recorded: true, message: '' });
    await settle();
    expect(detailsOf(41)).toMatchObject({ leaveCode: 4 });
    world = new FakeWorld();
    const shut = await running();
    await shut.runner.dispatch({ type: 'shutdownRequested' });
    shut.recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    expect(detailsOf(41)).toMatchObject({ leaveCode: 2 });
  });

  test('a crash, a refusing store, a file sent again and a second stop', async () => {
    const { runner, upload } = await running();
    upload.tell({ type: 'storeRefused', message: 'AccessDenied', forGood: true });
    upload.tell({ type: 'fileResent' });
    await settle();
    expect(detailsOf(1)).toMatchObject({ module: 1, errorLevel: 4, errorCode: ERROR_CODES.storeRefused });
    expect(detailsOf(2)).toEqual({ msgName: 'cloud_recording_warning', module: 1, warnCode: 31 });
    void runner.stop(true);
    void runner.stop(true);
    await settle();
    expect(detailsOf(3)).toMatchObject({ status: 6, recordingMode: 1, fileList: 'dir/a.m3u8' });
    for (const each of [0, 1, 2]) {
      world.recorders[each]!.exit('the recorder process was ended by SIGSEGV');
      await settle();
    }
    const fatal = world.store.notices.find((n) => n.payload.details['errorLevel'] === 5);
    expect(fatal?.payload.details).toMatchObject({ module: 0, errorCode: ERROR_CODES.failed });
    upload.letFinish();
    await runner.ended;
    // Who crashed did not leave.
    expect(types()).toEqual([40, 30, 4, 1, 2, 3, 12, 12, 1, 31, 11]);
    expect(detailsOf(12)).toEqual({ msgName: 'session_failover', newUid: 9 });
    expect(detailsOf(11)).toMatchObject({ exitStatus: 1 });
  });

  test('a store that never took a file ends the recording, and its files are still offered to it', async () => {
    const { runner, recorder, upload } = await running({ stored: false });
    world.spool(recorder, mp4);
    const refuse = () => upload.tell({ type: 'storeRefused', message: 'AccessDenied', forGood: true });
    refuse();
    refuse();
    await settle();
    expect(recorder.stoppedAtUs).toBeDefined();
    expect(types()).toEqual([40, 30, 1]);
    expect(detailsOf(1)).toMatchObject({ module: 1, errorLevel: 5, errorCode: ERROR_CODES.storeRefused });
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    expect(types()).toEqual([40, 30, 1, 41, 11]);
    expect(detailsOf(11)).toMatchObject({ exitStatus: 1 });
    // Somebody set the bucket right.
    upload.tell({ type: 'playlistStored', key: 'dir/a.m3u8', startUtcMs: 1500 });
    upload.letFinish();
    await runner.ended;
    expect(types()).toEqual([40, 30, 1, 41, 11, 4, 31]);
    expect(runner.state).toMatchObject({ phase: 'ended', status: 20, healthy: false });
  });

  test('a recording that there is no room for any more ends in order, with its files and without a second word', async () => {
    const { runner, recorder, upload } = await running();
    world.spool(recorder, mp4);
    await runner.dispatch({ type: 'roomRanOut', message: 'the disk is nearly full' });
    await runner.dispatch({ type: 'roomRanOut', message: 'the disk is nearly full' });
    expect(recorder.stoppedAtUs).toBeDefined();
    expect(await runner.stop(true)).toBe('exiting');
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: 'stopped as asked' });
    await settle();
    upload.letFinish();
    await runner.ended;
    expect(types()).toEqual([40, 30, 4, 1, 3, 41, 31, 11]);
    const told = { module: 0, errorLevel: 5, errorCode: ERROR_CODES.failed, errorMsg: 'the disk is nearly full' };
    expect(detailsOf(1)).toMatchObject(told);
    expect(detailsOf(41)).toMatchObject({ leaveCode: 0 });
    expect(detailsOf(11)).toMatchObject({ exitStatus: 1 });
    expect(runner.state).toMatchObject({ phase: 'ended', status: 20, ending: 'the disk is nearly full' });
  });

  test('a run that was lost and has no room to go on in ends the recording at once', async () => {
    const { runner, recorder, upload } = await running();
    world.createFault = new Fault('spool-full', 'the disk has 3 MB free', { blame: 'self', retryable: true });
    recorder.exit('killed');
    await settle();
    expect(world.recorders).toHaveLength(1);
    upload.letFinish();
    await runner.ended;
    expect(types()).toEqual([40, 30, 4, 12, 1, 31, 11]);
    expect(detailsOf(1)).toMatchObject({ errorCode: ERROR_CODES.failed, errorMsg: 'the disk has 3 MB free' });
  });

  test('a store that refuses a recording that is over has the exit told at once', async () => {
    const { recorder, upload } = await running({ stored: false });
    world.spool(recorder, mp4);
    recorder.tell({ type: 'ended', reason: 'idle', recorded: true, message: '' });
    await settle();
    upload.tell({ type: 'storeRefused', message: 'NoSuchBucket', forGood: true });
    await settle();
    expect(types()).toEqual([40, 30, 41, 1, 11]);
  });

  test('what a broken database did not take is told once it works again, in order and with no number missing', async () => {
    const runner = hold();
    await runner.start();
    world.store.broken = true;
    world.recorders[0]!.tell({ type: 'joined' });
    await settle();
    expect(types()).toEqual([]);
    world.store.broken = false;
    world.recorders[0]!.tell({ type: 'streamStateChanged', uid: '5', kind: 'audio', receiving: true });
    world.clock.advance(1_000);
    await settle();
    expect(types()).toEqual([40, 30, 43]);
    expect(world.store.notices.map(({ payload }) => payload.sequence)).toEqual([0, 1, 2]);
  });

  test('a task taken over after a crash of the server goes on counting', async () => {
    const { runner } = await running();
    const stored = world.store.tasks.get(runner.task.sid)!;
    const later = new TaskRunner(stored.task, stored.state, world.store.holdOf(stored.task.sid), world.ports());
    await later.resume([]);
    await settle();
    world.recorders.at(-1)?.tell({ type: 'ended', reason: 'idle', recorded: true, message: '' });
    await settle();
    world.uploads.at(-1)?.letFinish();
    await later.ended;
    expect(types()).toEqual([40, 30, 4, 12, 41, 31, 11]);
    expect(world.store.notices.map(({ payload }) => payload.sequence)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(detailsOf(11)).toMatchObject({ exitStatus: 0 });
  });
});
