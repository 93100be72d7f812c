/**
 * Plays a recording as it goes on, and its files: HLS by hls.js, which is loaded when it is needed, and MP4 and WebM by
 * the browser.
 */
import type Hls from 'hls.js';
import { forwardRef } from 'preact/compat';
import { useEffect, useImperativeHandle, useRef, useState } from 'preact/hooks';
import { api, type Files } from './api.ts';
import type { LiveAddress } from './live.ts';

export type PlayerHandle = { seek(s: number): void };
type Props = {
  appid: string;
  sid: string;
  files: Files;
  isLive: boolean;
  /** Where it is watched while it goes on. */
  live: LiveAddress | undefined;
  onTime(s: number): void;
};
/** Who is further behind than the player wants to be is not in the present. */
const BEHIND_S = 3;

/** What has no picture, of a user who was recorded alone. */
const SOUND_ALONE = /__uid_e_audio[._]/;
/** What a browser plays of a recording, the whole before its parts. */
const KINDS = [/\.m3u8$/, /\.mp4$/, /\.webm$/];
const MOST_STRIP = 60;

export function playable(files: Files | undefined): string[] {
  if (!files?.served) return [];
  const there = files.files.filter(({ state }) => state === 'stored' || state === 'accepted').map(({ name }) => name);
  const found = KINDS.flatMap((kind) => there.filter((name) => kind.test(name)));
  // The first is what is shown.
  return [...found.filter((name) => !SOUND_ALONE.test(name)), ...found.filter((name) => SOUND_ALONE.test(name))];
}

export const Player = forwardRef<PlayerHandle, Props>(({ appid, sid, files, isLive, live, onTime }, handle) => {
  const video = useRef<HTMLVideoElement>(null);
  const player = useRef<Hls | undefined>(undefined);
  /** Where the recording was left, and whether it played, when it ended: its files go on from there. */
  const left = useRef<{ atS: number; plays: boolean } | undefined>(undefined);
  const [isBehind, setBehind] = useState(false);
  const [chosen, setChosen] = useState<string>();
  const [error, setError] = useState<string>();
  const names = playable(files);
  const name = chosen !== undefined && names.includes(chosen) ? chosen : names[0];
  const snapshots = files.served
    ? files.files.filter(({ kind, state }) => kind === 'snapshot' && state !== 'deleted').slice(0, MOST_STRIP)
    : [];

  useImperativeHandle(handle, () => ({
    seek(s) {
      const element = video.current;
      if (!element) return;
      element.currentTime = Math.max(0, s);
      element.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
    },
  }));

  useEffect(() => {
    const element = video.current;
    const url = live?.url ?? (name === undefined ? undefined : api.fileUrl(appid, sid, name));
    if (!element || url === undefined) return;
    setError(undefined);
    const from = left.current;
    left.current = undefined;
    let playing: Hls | undefined;
    let isOver = false;
    const failed = () => setError('This file cannot be played here.');
    element.addEventListener('error', failed);
    if (live || name?.endsWith('.m3u8'))
      void import('hls.js/light').then(({ default: Player }) => {
        if (isOver) return;
        // Its worker would be made of text, which the page's policy does not allow.
        const hls = new Player({
          ...{ enableWorker: false, lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.5 },
          ...(live ? { xhrSetup: withToken(live) } : { startPosition: from?.atS ?? 0 }),
        });
        playing = hls;
        player.current = hls;
        if (live) hls.on(Player.Events.LEVEL_UPDATED, () => setBehind(isBehindIn(hls, element)));
        hls.on(
          Player.Events.ERROR,
          (_event, { fatal, details }) => fatal && setError(`It cannot be played: ${details}.`),
        );
        hls.loadSource(url);
        hls.attachMedia(element);
        if (from?.plays) void element.play().catch(() => undefined);
      });
    else element.src = url;
    return () => {
      isOver = true;
      element.removeEventListener('error', failed);
      if (live) left.current = { atS: element.currentTime, plays: !element.paused && !element.ended };
      playing?.destroy();
      player.current = undefined;
      element.removeAttribute('src');
      element.load();
    };
  }, [appid, sid, live, live ? undefined : name]);

  const toPresent = () => {
    const [element, position] = [video.current, player.current?.liveSyncPosition];
    if (!element || typeof position !== 'number') return;
    element.currentTime = position;
    void element.play().catch(() => undefined);
  };

  return (
    <section class="card player" aria-labelledby="player">
      <h2 id="player" class="unseen">
        Player
      </h2>
      {name === undefined && !live ? (
        <div class="screen">{whyNot(files, isLive)}</div>
      ) : (
        // biome-ignore lint/a11y/useMediaCaption: recordings have no captions
        <video
          ref={video}
          controls
          playsInline
          preload="metadata"
          onTimeUpdate={({ currentTarget }) => {
            onTime(currentTarget.currentTime);
            if (live && player.current) setBehind(isBehindIn(player.current, currentTarget));
          }}
          onSeeked={({ currentTarget }) => onTime(currentTarget.currentTime)}
        />
      )}
      {live && (
        <div class="present">
          {isBehind ? (
            <button type="button" onClick={toPresent}>
              Back to live
            </button>
          ) : (
            <span class="badge live">
              <span class="pulse" aria-hidden="true" />
              Live
            </span>
          )}
        </div>
      )}
      {error !== undefined && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      {names.length > 1 && !live && (
        <label class="pick">
          <span>Shown</span>
          <select value={name} onChange={({ currentTarget }) => setChosen(currentTarget.value)}>
            {names.map((each) => (
              <option key={each} value={each}>
                {each}
              </option>
            ))}
          </select>
        </label>
      )}
      {snapshots.length > 0 && (
        <ul class="strip" aria-label="Snapshots">
          {snapshots.map((each) => (
            <li key={each.name}>
              <a href={api.fileUrl(appid, sid, each.name)} target="_blank" rel="noreferrer">
                <img src={api.fileUrl(appid, sid, each.name)} alt={each.name} loading="lazy" />
              </a>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
});

/** Players ask for the playlist again and again; a token is good for a while only. */
function withToken({ token }: LiveAddress): (xhr: XMLHttpRequest, address: string) => void {
  return (xhr, address) => {
    const fresh = new URL(address, location.href);
    fresh.searchParams.set('token', token());
    xhr.open('GET', fresh.href, true);
  };
}

function isBehindIn({ liveSyncPosition }: Hls, { currentTime }: HTMLMediaElement): boolean {
  return liveSyncPosition !== null && currentTime < liveSyncPosition - BEHIND_S;
}

function whyNot({ place, served, files }: Files, isLive: boolean): string {
  if (files.length > 0 && files.every(({ state }) => state === 'deleted' || state === 'lost'))
    return 'Its files are deleted.';
  if (place === null) return 'Where its files lie was not kept.';
  if (!served)
    return `Its files lie in bucket ${place.bucket} of store vendor ${place.vendor}, whose keys are not kept here.`;
  if (isLive) return 'There is something to see once the first file is stored.';
  return files.length === 0 ? 'It has no files.' : 'It has no files that a browser plays.';
}
