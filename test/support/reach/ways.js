/**
 * The ways in which a page makes its browser connect to an address, each by its name. Runs in the page, which tries
 * them by `tryWays`; whoever listens at the address knows a way by the path that it asks for.
 */

const WAYS = {
  image: ({ url }) => add('img', { src: url }),
  srcset: ({ url }) => add('img', { srcset: `${url} 1x` }),
  'image-in-svg': ({ url }) => html(`<svg><image href='${url}'/></svg>`),
  'image-button': ({ url }) => add('input', { type: 'image', src: url }),
  'css-background': ({ url }) => html(`<p style='background:url(${url})'>x</p>`),
  'css-import': ({ url }) => add('style', { textContent: `@import '${url}'` }),
  stylesheet: ({ url }) => add('link', { rel: 'stylesheet', href: url }),
  font: ({ url }) => new FontFace('x', `url(${url})`).load(),
  video: ({ url }) => add('video', { src: url }),
  poster: ({ url }) => add('video', { poster: url }),
  audio: ({ url }) => add('audio', { src: url }),
  captions: ({ url }) => html(`<video crossorigin=anonymous><track default kind=captions src='${url}'></video>`),
  script: ({ url }) => add('script', { src: url }),
  module: ({ url }) => add('script', { type: 'module', src: url }),
  import: ({ url }) => import(url),
  'import-map': ({ url, key }) => {
    add('script', { type: 'importmap', textContent: JSON.stringify({ imports: { [key]: url } }) });
    return import(key);
  },
  'module-preload': ({ url }) => add('link', { rel: 'modulepreload', href: url }),
  iframe: ({ url }) => add('iframe', { src: url }),
  object: ({ url }) => add('object', { data: url }),
  embed: ({ url }) => add('embed', { src: url }),
  'location-of-frame': ({ url }) => add('iframe', { srcdoc: `<script>location = '${url}'</script>` }),
  'meta-refresh': ({ url }) => add('iframe', { srcdoc: `<meta http-equiv=refresh content='0;url=${url}'>` }),
  'form-get': ({ url, key }) => submit('get', url, key),
  'form-post': ({ url, key }) => submit('post', url, key),
  'redirected-image': ({ own }) => add('img', { src: own('/redirect') }),
  'redirected-frame': ({ own }) => add('iframe', { src: own('/redirect') }),
  'redirected-fetch': ({ own }) => fetch(own('/redirect'), OPAQUE),
  'redirected-script': ({ own }) => add('script', { src: own('/redirect') }),
  fetch: ({ url }) => fetch(url, OPAQUE),
  'fetch-keepalive': ({ url }) => fetch(url, { ...OPAQUE, keepalive: true }),
  'fetch-of-sandboxed-frame': ({ url }) =>
    add('iframe', { sandbox: 'allow-scripts', srcdoc: `<script>fetch('${url}', { mode: 'no-cors' })</script>` }),
  xhr: ({ url }) => {
    const request = new XMLHttpRequest();
    request.open('GET', url);
    request.send();
  },
  beacon: ({ url }) => navigator.sendBeacon(url),
  ping: ({ url, key }) => {
    add('iframe', { name: key });
    add('a', { href: '/x', target: key, ping: url }).click();
  },
  'event-source': ({ url }) => new EventSource(url),
  'csp-report': ({ own }) => add('iframe', { src: own('/csp') }),
  websocket: ({ ws }) => new WebSocket(ws),
  worker: ({ url }) => new Worker(fetching(url)),
  'worker-of-worker': ({ url }) => new Worker(blob(`new Worker('${fetching(url)}')`)),
  'import-of-worker': ({ url }) => new Worker(blob(`importScripts('${url}')`)),
  'websocket-of-worker': ({ ws }) => new Worker(blob(`new WebSocket('${ws}')`)),
  'shared-worker': ({ url }) => new SharedWorker(fetching(url)),
  'service-worker': ({ own, key }) => navigator.serviceWorker.register(own('/worker.js'), { scope: `/${key}` }),
  'audio-worklet': ({ url }) => new AudioContext().audioWorklet.addModule(url),
  'paint-worklet': ({ url }) => CSS.paintWorklet.addModule(url),
  prefetch: ({ url }) => add('link', { rel: 'prefetch', href: url }),
  preload: ({ url }) => add('link', { rel: 'preload', as: 'image', href: url }),
  'preload-by-header': ({ own }) => add('iframe', { src: own('/preload') }),
  'speculative-prefetch': ({ url }) =>
    add('script', { type: 'speculationrules', textContent: JSON.stringify({ prefetch: [{ urls: [url] }] }) }),
  preconnect: ({ host }) => add('link', { rel: 'preconnect', href: `https://${host}` }),
  'turn-over-tcp': ({ host }) => gather({ urls: `turn:${host}?transport=tcp`, username: 'x', credential: 'x' }),
  'turn-over-udp': ({ host }) => gather({ urls: `turn:${host}?transport=udp`, username: 'x', credential: 'x' }),
  stun: ({ host }) => gather({ urls: `stun:${host}` }),
  'candidate-of-peer': ({ host }) => offer(host),
  'web-transport': ({ host }) => new WebTransport(`https://${host}`).ready,
};

/** What is sent without asking the other side for leave first. */
const OPAQUE = { mode: 'no-cors' };

const add = (name, properties) => {
  const element = Object.assign(document.createElement(name), properties);
  // Some names are of attributes alone.
  for (const [key, value] of Object.entries(properties)) if (!(key in element)) element.setAttribute(key, value);
  element.style.display = 'block';
  shelf.append(element);
  return element;
};
const html = (text) => shelf.insertAdjacentHTML('beforeend', text);
const blob = (text) => URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
const fetching = (url) => blob(`fetch('${url}', { mode: 'no-cors' })`);
const submit = (method, action, target) => {
  add('iframe', { name: target });
  add('form', { method, action, target }).submit();
};
const gather = async (server) => {
  const peer = new RTCPeerConnection({ iceServers: [server] });
  peer.createDataChannel('x');
  await peer.setLocalDescription();
};
const offer = async (host) => {
  const [here, there] = [new RTCPeerConnection(), new RTCPeerConnection()];
  here.createDataChannel('x');
  await here.setLocalDescription();
  await there.setRemoteDescription(here.localDescription);
  await there.setLocalDescription();
  await here.setRemoteDescription(there.localDescription);
  const [address, port] = [host.replace(/:\d+$/, ''), host.split(':').at(-1)];
  await here.addIceCandidate({ candidate: `candidate:1 1 udp 1 ${address} ${port} typ host`, sdpMLineIndex: 0 });
};
/** Where what is added lies: outside the picture, but for the browser as good as seen. */
let shelf;

/**
 * Tries ways to get to hosts; each `host` is a host with its port.
 * @param {{ host: string, names: string[] }[]} targets
 */
globalThis.tryWays = (targets) => {
  shelf = document.createElement('div');
  shelf.style = 'position:fixed;left:0;top:0;opacity:0.001;pointer-events:none';
  document.body.append(shelf);
  for (const [i, { host, names }] of targets.entries())
    for (const name of names) {
      const url = `http://${host}/${name}`;
      const own = (path) => `${path}?to=${encodeURIComponent(url)}`;
      const to = { url, own, host, ws: url.replace('http', 'ws'), key: `${name}-${i}` };
      // What fails at once was refused, which is what it is tried for.
      Promise.try(WAYS[name], to).catch(() => {});
    }
};
