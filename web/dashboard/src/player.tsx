/** Plays a recording's files: HLS by hls.js, which is loaded when it is needed, and MP4 and WebM by the browser. */
import type Hls from 'hls.js';
import { forwardRef } from 'preact/compat';
import { useEffect, useImperativeHandle, useRef, useState } from 'preact/hooks';
import { api, type Files } from './api.ts';

export type PlayerHandle = { seek(s: number): void };
type Props = { appid: string; sid: string; files: Files; isLive: boolean; onTime(s: number): void };

/** What a browser plays of a recording, the whole before its parts. */
const KINDS = [/\.m3u8$/, /\.mp4$/, /\.webm$/];
const MOST_STRIP = 60;

export function playable(files: Files | undefined): string[] {
  if (!files?.served) return [];
  const there = files.files.filter(({ state }) => state === 'stored' || state === 'accepted').map(({ name }) => name);
  return KINDS.flatMap((kind) => there.filter((name) => kind.test(name)));
}

export const Player = forwardRef<PlayerHandle, Props>(({ appid, sid, files, isLive, onTime }, handle) => {
  const video = useRef<HTMLVideoElement>(null);
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
    if (!element || name === undefined) return;
    setError(undefined);
    const url = api.fileUrl(appid, sid, name);
    let playing: Hls | undefined;
    let isOver = false;
    const failed = () => setError('This file cannot be played here.');
    element.addEventListener('error', failed);
    if (name.endsWith('.m3u8'))
      void import('hls.js/light').then(({ default: Player }) => {
        if (isOver) return;
        // Its worker would be made of text, which the page's policy does not allow.
        const hls = new Player({ enableWorker: false, startPosition: 0 });
        playing = hls;
        hls.on(
          Player.Events.ERROR,
          (_event, { fatal, details }) => fatal && setError(`It cannot be played: ${details}.`),
        );
        hls.loadSource(url);
        hls.attachMedia(element);
      });
    else element.src = url;
    return () => {
      isOver = true;
      element.removeEventListener('error', failed);
      playing?.destroy();
      element.removeAttribute('src');
      element.load();
    };
  }, [appid, sid, name]);

  return (
    <section class="card player" aria-labelledby="player">
      <h2 id="player" class="unseen">
        Player
      </h2>
      {name === undefined ? (
        <div class="screen">{whyNot(files, isLive)}</div>
      ) : (
        // biome-ignore lint/a11y/useMediaCaption: recordings have no captions
        <video
          ref={video}
          controls
          playsInline
          preload="metadata"
          onTimeUpdate={({ currentTarget }) => onTime(currentTarget.currentTime)}
          onSeeked={({ currentTarget }) => onTime(currentTarget.currentTime)}
        />
      )}
      {error !== undefined && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      {names.length > 1 && (
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

function whyNot({ place, served, files }: Files, isLive: boolean): string {
  if (files.length > 0 && files.every(({ state }) => state === 'deleted' || state === 'lost'))
    return 'Its files are deleted.';
  if (place === null) return 'Where its files lie was not kept.';
  if (!served)
    return `Its files lie in bucket ${place.bucket} of store vendor ${place.vendor}, whose keys are not kept here.`;
  if (isLive) return 'There is something to see once the first file is stored.';
  return files.length === 0 ? 'It has no files.' : 'It has no files that a browser plays.';
}
