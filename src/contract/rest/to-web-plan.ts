/**
 * Turns a validated start request in web mode into its Plan and the address of the page, with the contract's defaults
 * (§1.2.7). Pure.
 */
import type { PageAddress, WebPlan } from '../line/plan.ts';
import { AUDIO_PROFILES, even } from './media-values.ts';
import type { PlanOptions } from './plan-options.ts';
import type { WebStart } from './start.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** From this many pixels on a page gets the higher bitrate. */
const LARGE_PIXELS = 1280 * 720;

type Service = WebStart['extensionServiceConfig']['extensionServices'][number];

export function toWebPlan(request: WebStart, { mp4Limit, ...names }: PlanOptions): WebPlan {
  const page = pageOf(request);
  const [width, height] = [page.videoWidth, page.videoHeight];
  const bitrateKbps = page.videoBitrate ?? page.VideoBitrate ?? (width * height >= LARGE_PIXELS ? 2000 : 1500);
  const types = request.recordingFileConfig?.avFileType ?? ['hls'];
  return {
    mode: 'web',
    ...names,
    video: { width: even(width), height: even(height), fps: page.videoFps, bitrateKbps },
    audio: AUDIO_PROFILES[page.audioProfile],
    files: { hls: true, mp4: types.includes('mp4') },
    mp4Limit: { durationMs: page.maxVideoDuration * MINUTE_MS, bytes: mp4Limit.bytes },
    maxAgeMs: page.maxRecordingHour * HOUR_MS,
    onhold: page.onhold,
    ...(pushesOf(request).length > 0 && { pushed: true }),
  };
}

export function toPageAddress(request: WebStart): PageAddress {
  const { url, mobile, readyTimeout } = pageOf(request);
  return { url, mobile, readyTimeoutMs: readyTimeout * 1000 };
}

/** The addresses that the page is to be pushed to. */
export function pushesOf({ extensionServiceConfig }: WebStart): string[] {
  return extensionServiceConfig.extensionServices.flatMap((service) =>
    service.serviceName === 'rtmp_publish_service' ? service.serviceParam.outputs.map(({ rtmpUrl }) => rtmpUrl) : [],
  );
}

function pageOf({ extensionServiceConfig }: WebStart) {
  const isPage = (service: Service) => service.serviceName === 'web_recorder_service';
  // The schema makes sure that every request has one.
  return extensionServiceConfig.extensionServices.find(isPage)!.serviceParam;
}
