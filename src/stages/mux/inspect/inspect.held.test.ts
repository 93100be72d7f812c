import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspectMedia } from './inspect-media.ts';
import { inspectPlaylist } from './inspect-playlist.ts';

let dir: string;
const at = (name: string) => join(dir, name);
const ffmpeg = (...args: string[]) => execFileSync('ffmpeg', ['-v', 'error', '-y', ...args], { cwd: dir });
/** When the first packet of a stream stands, seconds. */
const startOf = (name: string, kind: string) =>
  Number(
    execFileSync(
      'ffprobe',
      [
        ...['-v', 'error', '-select_streams', kind, '-read_intervals', '%+#1'],
        '-show_entries',
        'packet=pts_time',
        '-of',
        'csv=p=0',
        name,
      ],
      { cwd: dir, encoding: 'utf8' },
    ).split(/[\n,]/)[0],
  );
const PICTURE = ['-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=25:duration=4'];
const SOUND = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000:duration=4'];
const CODED = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '25', '-bf', '0', '-pix_fmt', 'yuv420p', '-c:a', 'aac'];

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-inspect-'));
  const color = ['-colorspace', 'bt709', '-color_range', 'tv'];
  ffmpeg(...PICTURE, ...SOUND, ...CODED, ...color, '-movflags', '+faststart', 'whole.mp4');
  ffmpeg('-i', 'whole.mp4', '-c', 'copy', 'behind.mp4');
  ffmpeg('-itsoffset', '0.5', ...PICTURE, ...SOUND, ...CODED, 'late.mkv');
  ffmpeg('-i', 'whole.mp4', '-c', 'copy', '-f', 'hls', '-hls_time', '1', '-hls_list_size', '0', 'list.m3u8');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('a file', () => {
  test('its streams, its colours, where they begin and end, and that it is whole', async () => {
    const found = await inspectMedia(at('whole.mp4'));
    expect(found).toMatchObject({ index: 'front', problems: [] });
    expect(found.durationS).toBeCloseTo(4, 1);
    const [video, audio] = found.streams;
    expect(video).toMatchObject({
      ...{ kind: 'video', codec: 'h264', packets: 100, gaps: [] },
      video: { width: 320, height: 240, keyFrames: 4, startsWithKeyFrame: true, colors: 'BT.709, limited range' },
    });
    expect(video?.video?.fps).toBeCloseTo(25, 1);
    expect(video?.video?.longestKeyFrameS).toBeCloseTo(1, 3);
    expect(audio).toMatchObject({ kind: 'audio', codec: 'aac', audio: { sampleRate: 48_000, channels: 1 } });
  });

  test('an index behind the media, and a picture behind its sound', async () => {
    expect(await inspectMedia(at('behind.mp4'))).toMatchObject({ index: 'behind', problems: [] });
    const late = await inspectMedia(at('late.mkv'));
    expect(late.index).toBeUndefined();
    // What FFmpeg says of the same file, to the millisecond of its timestamps; the sound's lead-in is before its zero.
    const [pictureMs, soundMs] = ['v', 'a'].map((kind) => 1000 * startOf('late.mkv', kind));
    expect(pictureMs! - soundMs!).toBeGreaterThan(480);
    expect(Math.abs(late.offsetMs! - (pictureMs! - soundMs!))).toBeLessThanOrEqual(1);
  });

  test('one that is cut off', async () => {
    copyFileSync(at('whole.mp4'), at('torn.mp4'));
    truncateSync(at('torn.mp4'), 30_000);
    const { problems } = await inspectMedia(at('torn.mp4'));
    expect(problems.join('\n')).toMatch(/mdat lacks \d+ bytes: the file is cut off/);
    copyFileSync(at('behind.mp4'), at('unfinished.mp4'));
    truncateSync(at('unfinished.mp4'), 30_000);
    await expect(inspectMedia(at('unfinished.mp4'))).rejects.toMatchObject({ code: 'media-unreadable' });
  });

  test('a stretch without anything is a gap of its stream', async () => {
    const filter = "select='not(between(t,1,2.999))'";
    ffmpeg(...PICTURE, ...SOUND, '-vf', filter, '-fps_mode', 'passthrough', ...CODED, 'gap.mkv');
    const { streams } = await inspectMedia(at('gap.mkv'));
    const gaps = streams.find(({ kind }) => kind === 'video')?.gaps ?? [];
    expect(gaps).toHaveLength(1);
    expect(gaps[0]?.durationS).toBeCloseTo(2, 1);
    expect(streams.find(({ kind }) => kind === 'audio')?.gaps).toEqual([]);
  });

  test('what is no media, and what is not there', async () => {
    writeFileSync(at('text.mp4'), 'no media at all');
    for (const name of ['text.mp4', 'nothing.mp4'])
      await expect(inspectMedia(at(name))).rejects.toMatchObject({ code: 'media-unreadable' });
  });
});

describe('a playlist', () => {
  test('each slice goes on where the one before ended', async () => {
    const found = await inspectPlaylist(at('list.m3u8'));
    expect(found).toMatchObject({ format: 'hls', ended: true, problems: [] });
    expect(found.slices.length).toBeGreaterThan(3);
    expect(found.durationS).toBeCloseTo(4, 1);
  });

  test('a slice that is gone, one that is longer than it says, and an end that is not said', async () => {
    const { slices } = await inspectPlaylist(at('list.m3u8'));
    unlinkSync(at(slices[1]!.name));
    const text = readFileSync(at('list.m3u8'), 'utf8')
      .replace(/#EXTINF:[\d.]+/, '#EXTINF:0.5')
      .replace('#EXT-X-ENDLIST', '');
    writeFileSync(at('bad.m3u8'), text);
    const { problems } = await inspectPlaylist(at('bad.m3u8'));
    expect(problems).toEqual([
      'it does not say that it is over (EXT-X-ENDLIST)',
      expect.stringMatching(/lasts 1\.0\d\d s, and the playlist says 0\.500 s/),
      `${slices[1]!.name} is not there`,
    ]);
  });

  test('a name that leads out of its folder is not followed', async () => {
    writeFileSync(at('out.m3u8'), '#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\n../../etc/hostname\n#EXT-X-ENDLIST\n');
    expect((await inspectPlaylist(at('out.m3u8'))).problems).toEqual(['../../etc/hostname is not there']);
  });

  test('text that is none is refused', async () => {
    writeFileSync(at('none.m3u8'), 'hello');
    await expect(inspectPlaylist(at('none.m3u8'))).rejects.toMatchObject({ code: 'media-unreadable' });
  });
});
