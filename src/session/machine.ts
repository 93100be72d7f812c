/**
 * A recording as a machine: `transition(state, event)` says what becomes of a task and what is to be done. Pure; it
 * takes any event in any state, as facts of a dying process and calls of impatient clients come in every order.
 */
import type { EndReason } from '../contract/line/facts.ts';
import type { ListedFile } from '../contract/rest/file-list.ts';
import type { KnownPush, StopOutcome, TaskEffect, TaskEvent, TaskState } from './task.ts';

export type Transition = { state: TaskState; effects: TaskEffect[] };

export function transition(state: TaskState, event: TaskEvent): Transition {
  const same: Transition = { state, effects: [] };
  switch (event.type) {
    case 'startAccepted':
      if (state.phase !== 'new') return same;
      return launch({ ...state, phase: 'recording', status: 2 });
    case 'runLaunched':
      return state.phase === 'ended'
        ? same
        : { state: { ...state, zeroUtcMs: state.zeroUtcMs ?? event.zeroUtcMs, zeroMono: event.zeroMono }, effects: [] };
    case 'recorderReady':
      return { state: raise(state, 3), effects: [] };
    case 'recorderJoined':
      return state.phase === 'ended' ? same : { state: raise({ ...state, joined: true }, 4), effects: [] };
    case 'uploaderReady':
      return state.phase === 'ended' || state.uploaderReady
        ? same
        : { state: { ...state, uploaderReady: true }, effects: [] };
    case 'uploadProgressed':
      // Files that are added later would lower the progress; what was told is not taken back.
      return state.phase === 'ended'
        ? same
        : { state: { ...state, progress: Math.max(state.progress, event.progress) }, effects: [] };
    case 'streamStateChanged':
    case 'sliceStarted':
    case 'holdChanged':
    case 'outputFailed':
    case 'pageReloaded':
    case 'fileResent':
    case 'fileBackedUp':
      // These are told to the customer and change nothing here.
      return same;
    case 'rungChanged':
      return state.phase === 'ended' || state.rung === event.rung
        ? same
        : { state: { ...state, rung: event.rung }, effects: [] };
    case 'pushChanged': {
      const { type: _type, ...push } = event;
      return state.phase === 'uploading' || state.phase === 'ended'
        ? same
        : { state: { ...state, pushes: withPush(state.pushes, push) }, effects: [] };
    }
    case 'storeRefused':
      return event.forGood && !hasFiles(state) ? giveUp(state, event.message) : same;
    case 'playlistStored':
      if (state.phase === 'ended') return same;
      return { state: raise({ ...state, playlists: withFile(state.playlists, event.file) }, 5), effects: [] };
    case 'snapshotStored':
      return state.phase === 'ended' ? same : { state: raise({ ...state, snapshot: true }, 5), effects: [] };
    case 'wholeFileStored':
      return state.phase === 'ended'
        ? same
        : { state: { ...state, mp4s: withFile(state.mp4s, event.file) }, effects: [] };
    case 'stopRequested':
      return stop(state, event.request, event.wait);
    case 'stopTimedOut':
      if (state.waitingStop !== event.request) return same;
      return { state: { ...state, waitingStop: undefined }, effects: [answer(event.request, 'late')] };
    case 'shutdownRequested':
      return beginStopping(state, 'shutdown', 'the server shuts down');
    case 'roomRanOut':
      if (state.phase !== 'new' && state.phase !== 'recording') return same;
      return beginStopping({ ...state, healthy: false }, 'failure', event.message);
    case 'recorderEnded': {
      const message = event.message || event.reason;
      // A recorder that stops without our call was told to by somebody who is not its server.
      const asked = event.reason === 'stopped' && state.phase === 'stopping';
      if (asked || AS_PLANNED.has(event.reason)) return beginUploading(state, true, message);
      // Another run would meet the same page.
      if (NO_PAGE.has(event.reason)) return beginUploading(state, false, message);
      return lose(state, event.atMs, message);
    }
    case 'recorderLost':
      return lose(state, event.atMs, event.message);
    case 'launchFailed':
      return beginUploading(state, false, event.message);
    case 'serverRestarted':
      return takeOver(state, event.newestGeneration);
    case 'orphansEnded':
      return goOn(state);
    case 'uploadsFinished':
      if (state.phase !== 'uploading') return same;
      return end(
        { ...state, uploadedTo: event.where },
        state.healthy,
        state.ending,
        hasFiles(state) ? STOP_OUTCOMES[event.where] : 'nothing',
      );
    case 'uploadsAbandoned':
      return end(state, false, event.message, 'late');
  }
}

/** Reasons for which a recorder ends by itself when all is well, and those for which there is no page to record. */
const AS_PLANNED: ReadonlySet<EndReason> = new Set(['idle', 'aged']);
const NO_PAGE: ReadonlySet<EndReason> = new Set(['pageLate', 'pageUnreachable']);

const STOP_OUTCOMES = { uploaded: 'stored', backuped: 'backuped', unknown: 'unproved' } as const;

/** The status of a start only moves forward, and never out of a stop. */
function raise(state: TaskState, status: 3 | 4 | 5): TaskState {
  return state.phase === 'recording' && state.status < status ? { ...state, status } : state;
}

function stop(state: TaskState, request: number, wait: boolean): Transition {
  if (state.phase === 'ended' || state.refused) return { state, effects: [answer(request, 'gone')] };
  if (state.phase === 'stopping' || state.phase === 'uploading')
    return { state, effects: [answer(request, 'exiting')] };
  const begun = beginStopping(state, 'call', 'stopped by a call');
  if (!wait) return { ...begun, effects: [...begun.effects, answer(request, 'accepted')] };
  return {
    state: { ...begun.state, waitingStop: request },
    effects: [...begun.effects, { type: 'armStopTimer', request }],
  };
}

function beginStopping(state: TaskState, stoppedBy: 'call' | 'shutdown' | 'failure', ending: string): Transition {
  if (state.phase !== 'new' && state.phase !== 'recording') return { state, effects: [] };
  return { state: { ...state, phase: 'stopping', status: 6, stoppedBy, ending }, effects: [{ type: 'stopRecorder' }] };
}

/**
 * It is of no use to record for a store that takes nothing. Whoever waits for a stop is told that the recording is
 * gone.
 */
function giveUp(state: TaskState, why: string): Transition {
  if (state.phase === 'ended' || state.refused) return { state, effects: [] };
  const { waitingStop } = state;
  const refused = { ...state, refused: true, healthy: false, waitingStop: undefined };
  const begun = beginStopping(refused, 'failure', `the store refuses files: ${why}`);
  const answers = waitingStop === undefined ? [] : [answer(waitingStop, 'gone')];
  return { state: begun.state, effects: [...begun.effects, ...answers] };
}

/** Three runs lost within this time are a fault that the next run would meet as well. */
const LOSS_WINDOW_MS = 60_000;
const MAX_LOSSES = 3;

/** Another run goes on, even when a stop was asked for: what came before the stop is still in the feed. */
function lose(state: TaskState, atMs: number, why: string): Transition {
  if (state.phase !== 'recording' && state.phase !== 'stopping') return { state, effects: [] };
  const lossesMs = [...state.lossesMs.filter((ms) => ms > atMs - LOSS_WINDOW_MS), atMs];
  const lost = { ...state, lossesMs, pushes: disconnected(state.pushes) };
  if (lossesMs.length < MAX_LOSSES) return launch(lost);
  return beginUploading(lost, false, `${MAX_LOSSES} recorders were lost within a minute, the last: ${why}`);
}

function launch(state: TaskState): Transition {
  const generation = state.generation + 1;
  return { state: { ...state, generation }, effects: [{ type: 'launchRecorder', generation }] };
}

function beginUploading(state: TaskState, healthy: boolean, ending: string): Transition {
  if (state.phase === 'uploading' || state.phase === 'ended') return { state, effects: [] };
  const good = healthy && state.healthy;
  const generation = state.generation + 1;
  return {
    state: {
      ...state,
      phase: 'uploading',
      pushes: disconnected(state.pushes),
      status: good ? 7 : 20,
      healthy: good,
      generation,
      ending: good || state.stoppedBy === 'failure' || state.refused ? (state.ending ?? ending) : ending,
    },
    effects: [{ type: 'releaseChannel' }, { type: 'finishUpload', generation }],
  };
}

/**
 * After a restart of the server a task looks the same to its callers; only the call that waited for an answer is gone.
 */
function takeOver(state: TaskState, newestGeneration: number): Transition {
  if (state.phase === 'ended') return { state, effects: [] };
  const taken: TaskState = {
    ...state,
    generation: Math.max(state.generation, newestGeneration),
    lossesMs: [],
    waitingStop: undefined,
    pushes: disconnected(state.pushes),
  };
  const accepted: TaskState = taken.phase === 'new' ? { ...taken, phase: 'recording', status: 2 } : taken;
  return { state: accepted, effects: [{ type: 'awaitOrphans' }] };
}

function goOn(state: TaskState): Transition {
  switch (state.phase) {
    case 'recording':
      return launch(state);
    case 'stopping':
      return beginUploading(state, true, 'the server was restarted');
    case 'uploading': {
      const generation = state.generation + 1;
      return { state: { ...state, generation }, effects: [{ type: 'finishUpload', generation }] };
    }
    default:
      return { state, effects: [] };
  }
}

function end(
  state: TaskState,
  healthy: boolean,
  ending: string | undefined,
  outcome: 'stored' | 'backuped' | 'unproved' | 'nothing' | 'late',
): Transition {
  if (state.phase !== 'uploading') return { state, effects: [] };
  const { waitingStop } = state;
  const effects: TaskEffect[] = waitingStop === undefined ? [] : [answer(waitingStop, outcome)];
  // A file that could not be uploaded stays on the spool, the only place where it is. So does one whose arrival only
  // its store's word confirms.
  if (outcome !== 'late' && outcome !== 'unproved') effects.push({ type: 'discardSpool' });
  return {
    state: { ...state, phase: 'ended', status: healthy ? 8 : 20, healthy, waitingStop: undefined, ending },
    effects,
  };
}

function answer(request: number, outcome: StopOutcome): TaskEffect {
  return { type: 'answerStop', request, outcome };
}

function hasFiles({ playlists, mp4s, snapshot }: TaskState): boolean {
  return playlists.length > 0 || mp4s.length > 0 || snapshot;
}

/**
 * At most this many pushes are remembered, as calls may change them any number of times: of those that are over only
 * the latest.
 */
const MAX_PUSHES = 16;

function withPush(pushes: KnownPush[], push: KnownPush): KnownPush[] {
  const known = pushes.find(({ id }) => id === push.id);
  if (known?.status === push.status) return pushes;
  if (known) return pushes.map((each) => (each === known ? push : each));
  return [...pushes.slice(-MAX_PUSHES + 1), push];
}

/** The server that pushed is gone, and its pushes with it. */
function disconnected(pushes: KnownPush[]): KnownPush[] {
  return pushes.map((push) => ({ ...push, status: 'disconnected' }));
}

/** A newer version of a playlist begins where the first did, but may be one that no player shows any more. */
function withFile(files: ListedFile[], file: ListedFile): ListedFile[] {
  const known = files.find(({ key }) => key === file.key);
  if (known)
    return known.playable === file.playable
      ? files
      : files.map((f) => (f === known ? { ...file, startUtcMs: f.startUtcMs } : f));
  return [...files, file].sort((a, b) => a.startUtcMs - b.startUtcMs);
}
