// Records a channel for some seconds with the client package, and prints its files.
//
//   URL=http://127.0.0.1:7300 APP_ID=… CUSTOMER_ID=… CUSTOMER_SECRET=… TOKEN=… node record.mjs room 10
//
// TOKEN is an RTC token for uid 9000 (`npx aircheck token --channel room --uid 9000`); an app without a certificate
// needs none.
import { setTimeout as pause } from 'node:timers/promises';
import { AircheckClient, AircheckError } from 'aircheck/client';

const { URL: url, APP_ID: appId, CUSTOMER_ID: customerId, CUSTOMER_SECRET: customerSecret, TOKEN: token } = process.env;
const [cname = 'room', seconds = '10'] = process.argv.slice(2);

const aircheck = new AircheckClient({
  ...{ url, appId, customerId, customerSecret },
  onRemark: (remark) => console.error(remark),
});

try {
  const recording = await aircheck.record('mix', {
    cname,
    uid: '9000',
    clientRequest: {
      ...(token && { token }),
      recordingConfig: { transcodingConfig: { width: 640, height: 360, fps: 15, bitrate: 600, mixedVideoLayout: 1 } },
      recordingFileConfig: { avFileType: ['hls', 'mp4'] },
      storageConfig: { vendor: 1000, bucket: 'examples' },
    },
  });
  console.error(`recording ${recording.sid}`);
  await pause(Number(seconds) * 1000);
  const { sid, files } = await aircheck.finish(recording);
  console.log(JSON.stringify({ sid, files: files.map(({ fileName }) => fileName) }));
} catch (error) {
  // `status` and `code` are those of docs/reference/errors.md.
  if (!(error instanceof AircheckError)) throw error;
  console.error(error.message, error.requestId ?? '');
  process.exitCode = 1;
}
