// A worker that says when the next picture is due. Timers of pages in the background run once a second; a worker's do
// not. Pictures are due at whole fractions of each wall-clock second, so that one falls on the second itself.
let timer;
let fps = 30;

function plan() {
  const now = Date.now();
  const second = Math.floor(now / 1000) * 1000;
  let frame = Math.floor(((now - second) * fps) / 1000 + 1e-6) + 1;
  // Less than a millisecond away counts as done, or a timer that fires early would tick twice.
  if (second + (frame * 1000) / fps - now < 1) frame += 1;
  const due = second + (frame * 1000) / fps;
  timer = setTimeout(() => {
    postMessage(due);
    plan();
  }, due - now);
}

self.addEventListener('message', ({ data }) => {
  clearTimeout(timer);
  if (data.stop) return close();
  fps = data.fps;
  plan();
});
