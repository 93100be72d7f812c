/**
 * What a composite costs its recorder by the users it does not show: 17 have a place in the picture, and what the
 * others send of theirs is passed over and not decoded.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { coresOf, House, type Media, recorderAtWork, stopped } from './house.ts';
import { atMost, type Figure } from './measure.ts';

/** As many as the picture has places for (contract §4.7), and as many as are in the channel. */
const SHOWN = 17;
const ALL = 50;
const USER: Media = { width: 1280, height: 720, fps: 15, bitrateKbps: 600 };
const WARM_UP_MS = 8_000;
const MEASURE_MS = 15_000;

export async function measureCrowd(): Promise<Figure[]> {
  const house = new House({ AIRCHECK_ADMISSION_CPU_PERCENT: '0' });
  try {
    await house.server.start();
    await house.publish(['crowd'], SHOWN, USER);
    const few = await recorderCores(house);
    await house.publish(['crowd'], ALL - SHOWN, USER, SHOWN);
    const many = await recorderCores(house);
    const detail = `cores of the recorder: ${few.toFixed(3)} with ${SHOWN} users, ${many.toFixed(3)} with ${ALL}`;
    return [
      atMost(`a composite of ${ALL} users of 720p, against one of the ${SHOWN} it shows`, many / few, 1.1, '×', detail),
    ];
  } finally {
    await house.close();
  }
}

/** Sound is left out: all of it is heard, and mixed, whoever is shown. */
async function recorderCores(house: House): Promise<number> {
  const transcodingConfig = { width: 1280, height: 720, fps: 15, bitrate: 1000, mixedVideoLayout: 1 };
  const recordingConfig = { channelType: 1, streamTypes: 1, transcodingConfig };
  const recording = await house.record('crowd', 'mix', { recordingConfig });
  await pause(WARM_UP_MS);
  const cores = await coresOf([recorderAtWork(house.pid)], MEASURE_MS);
  await stopped(recording);
  return cores;
}
