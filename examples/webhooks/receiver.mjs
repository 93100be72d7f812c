// Receives webhooks, takes only those that are signed with the secret, and each of them once.
//
//   SECRET=… node receiver.mjs 8080
//
// The server is told of it by AIRCHECK_NOTIFY_URL=http://127.0.0.1:8080/ and AIRCHECK_NOTIFY_SECRET.
import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { readWebhook } from 'aircheck/client';

const secret = process.env.SECRET;
const MOST_BYTES = 1_000_000;
/** Notices that were taken; a service of several processes keeps them in its database. */
const taken = new Set();

const server = createServer(async (request, response) => {
  const answer = (status) => response.writeHead(status).end();
  if (Number(request.headers['content-length'] ?? 0) > MOST_BYTES) return answer(413);
  const body = await buffer(request);
  let notice;
  try {
    notice = await readWebhook({ body, signature: request.headers['agora-signature-v2'], secret });
  } catch (error) {
    console.error(`refused: ${error.message}`);
    return answer(401);
  }
  // An answer may be lost: then the same notice comes again.
  if (!taken.has(notice.noticeId)) {
    taken.add(notice.noticeId);
    const { sid, details } = notice.payload;
    console.log(JSON.stringify({ sid, eventType: notice.eventType, ...details }));
  }
  answer(200);
});
server.listen(Number(process.argv[2] ?? 8080), '127.0.0.1', () =>
  console.error(`listening at ${server.address().port}`),
);
