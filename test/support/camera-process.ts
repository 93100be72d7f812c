/**
 * `aircheck publish camera` with devices that need no hardware: FFmpeg's lavfi, read as a camera and a microphone are.
 * They have times of the wall clock, and at each of its full seconds the picture is white and the sound a beep. The
 * microphone sends nothing for its first 0.7 s. The first argument is what was typed, as JSON; a second is the path of
 * a pipe of YUV4MPEG2, which stands for a camera without a microphone.
 */
import { publish } from '../../src/app/cli/everyday/publish.ts';
import { messageOf } from '../../src/kernel/fault.ts';

const AT_SECONDS = 'lt(mod(t,1),0.1)';
const CAMERA = `color=c=red:size=320x180:rate=30,realtime,settb=AVTB,setpts=RTCTIME,drawbox=color=white:t=fill:enable='${AT_SECONDS}',format=yuyv422`;
const MICROPHONE = `sine=frequency=880:sample_rate=48000:samples_per_frame=480,arealtime,atrim=start=0.7,asettb=AVTB,asetpts=RTCTIME,volume=0:enable='not(${AT_SECONDS})'`;

try {
  const [, , words = '', pipe] = process.argv;
  const microphone = { kind: 'audio' as const, name: MICROPHONE, about: 'Made microphone' };
  await publish('camera', JSON.parse(words), {
    formats: { video: pipe === undefined ? 'lavfi' : 'yuv4mpegpipe', audio: 'lavfi' },
    devices: async () => [
      { kind: 'video', name: pipe ?? CAMERA, about: 'Made camera' },
      ...(pipe === undefined ? [microphone] : []),
    ],
  });
} catch (error) {
  process.stderr.write(`aircheck: ${messageOf(error)}\n`);
  process.exit(1);
}
