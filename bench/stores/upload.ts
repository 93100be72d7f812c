/**
 * An upload of a recording into the sink, set up as the server sets up its own.
 */
import type { UploadLedger } from '../../src/contract/line/objects.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { EndpointGuard } from '../../src/kernel/endpoint-guard.ts';
import type { Segment } from '../../src/media/segment.ts';
import { renderPlaylist } from '../../src/stages/mux/hls/playlist.ts';
import { RecordingUpload, type UploadEvent } from '../../src/stages/upload/recording-upload.ts';
import { createTarget } from '../../src/stages/upload/target/create-target.ts';
import { BEGAN_MS, SLICE_MS } from './spool.ts';

export function sliceOf(name: string, index: number, bytes: number): Segment {
  const place = { index, startUtcMs: BEGAN_MS + index * SLICE_MS, durationUs: SLICE_MS * 1000, bytes };
  return { type: 'slice', name, playlist: 'x.m3u8', ...place, discontinuity: index === 0, starts: [], rotations: [] };
}

export async function openUpload(
  port: number,
  { ledger, onEvent = () => {} }: { ledger?: UploadLedger; onEvent?: (event: UploadEvent) => void } = {},
) {
  const target = await createTarget(
    {
      ...{ vendor: 11, region: 0, bucket: 'b', accessKey: 'a', secretKey: 's', fileNamePrefix: [] },
      extensionParams: { endpoint: `http://127.0.0.1:${port}` },
    },
    { localStorageDir: '/nonexistent', guard: new EndpointGuard({ networks: ['loopback'], plainHttp: false }) },
  );
  const upload = new RecordingUpload({
    target,
    prefix: [],
    renderIndex: (_name, rows) => renderPlaylist(rows.flat(), { extinfComma: true }),
    clock: systemClock,
    log: { info() {}, warn() {} },
    onEvent,
    ...(ledger && { ledger }),
  });
  return { upload, target };
}
