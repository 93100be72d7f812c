/**
 * Answers or denies at once what a page would draw over itself or have somebody answer: nothing of the browser gets
 * into the picture, and nothing waits for somebody who is not there.
 */
import { newHexId } from '../../../kernel/ids.ts';
import { isOfEmptyPage, type PageBrowser } from './browser.ts';

export type PageErrorKind = 'script' | 'console';
export type PageListener = {
  /** The page called `navigator.notifyReady()`. */
  onReady(): void;
  /** The page's process ended. */
  onCrashed(): void;
  /** The browser ended; a page cannot close itself. */
  onClosed(): void;
  /** Something was kept out of the picture or refused, in words. */
  onRefused(what: string): void;
  /** An error in the page's scripts, or one that they wrote to the console. */
  onPageError(kind: PageErrorKind, text: string): void;
};

const READY = '__aircheckReady';
const REFUSED = '__aircheckRefused';
const MAX_WORDS = 200;

/**
 * What draws something to choose from, a login or a notice. Each returns a promise. Most wait for a user's hand, but
 * not all: sharing a screen, a login by passkey and the first payment of a page do not.
 */
const DRAWING = [
  ['MediaDevices', 'getDisplayMedia', 'sharing a screen'],
  ['USB', 'requestDevice', 'choosing a device'],
  ['HID', 'requestDevice', 'choosing a device'],
  ['Serial', 'requestPort', 'choosing a device'],
  ['Bluetooth', 'requestDevice', 'choosing a device'],
  ['CredentialsContainer', 'get', 'a login'],
  ['CredentialsContainer', 'create', 'a login'],
  ['CredentialsContainer', 'store', 'a login'],
  ['PaymentRequest', 'show', 'a payment'],
  ['EyeDropper', 'open', 'choosing a colour'],
  ['Element', 'requestPointerLock', 'catching the pointer'],
] as const;

/**
 * Runs in every document before its own scripts, also in frames. A frame from another site, in a process of its own,
 * has no bindings: its refusals go to its console, after a word that no page knows.
 */
const documentScript = (word: string) => `(() => {
  const say = console.debug.bind(console);
  const { ${READY}: ready, ${REFUSED}: refused = (what) => { say('${word}' + what); } } = window;
  delete window.${READY};
  delete window.${REFUSED};
  if (window === window.top) navigator.notifyReady = () => { ready(''); };
  // The browser would draw them until somebody has answered, and an answer over the protocol comes frames later.
  window.alert = () => { refused('a dialog (alert)'); };
  window.confirm = () => { refused('a dialog (confirm)'); return false; };
  window.prompt = () => { refused('a dialog (prompt)'); return null; };
  window.print = () => { refused('printing'); };
  const { execCommand } = Document.prototype;
  Document.prototype.execCommand = function (command, ...values) {
    if (String(command).toLowerCase() !== 'print') return execCommand.call(this, command, ...values);
    refused('printing');
    return false;
  };
  // Of their prototypes: what a page deletes from an object comes back from there.
  for (const [owner, method, what] of ${JSON.stringify(DRAWING)}) {
    const { prototype } = window[owner] ?? {};
    if (prototype?.[method]) prototype[method] = () => {
      refused(what);
      return Promise.reject(new DOMException('Permission denied', 'NotAllowedError'));
    };
  }
})()`;

export async function guardPage({ page, context, session }: PageBrowser, listener: PageListener): Promise<void> {
  const { onRefused, onReady, onCrashed, onClosed, onPageError } = listener;
  page.on('dialog', (dialog) => {
    // When a page asks whether it may be left the answer is yes.
    const isLeaving = dialog.type() === 'beforeunload';
    if (!isLeaving) onRefused(`a dialog (${dialog.type()})`);
    (isLeaving ? dialog.accept() : dialog.dismiss()).catch(() => {});
  });
  page.on('filechooser', () => onRefused('choosing a file'));
  page.on('download', () => onRefused('a download'));
  page.on('crash', onCrashed);
  page.on('close', onClosed);
  page.on('pageerror', (error) => onPageError('script', tellable(error.message)));
  const word = newHexId();
  page.on('console', (message) => {
    if (message.text().startsWith(word))
      onRefused(`${message.text().slice(word.length, word.length + MAX_WORDS)}, in a foreign frame`);
    const said = { type: message.type(), text: message.text(), url: message.location().url };
    if (isPageError(said)) onPageError('console', tellable(said.text));
  });
  context.on('page', (other) => {
    onRefused('a window of its own');
    other.close().catch(() => {});
  });
  session.on('Page.windowOpen', () => onRefused('a window of its own'));
  session.on('Runtime.bindingCalled', ({ name, payload }) => {
    if (name === READY) onReady();
    if (name === REFUSED) onRefused(payload.slice(0, MAX_WORDS));
  });
  // Playwright's bindings answer with a user gesture, and with a gesture the page could open windows and downloads.
  for (const name of [READY, REFUSED]) await session.send('Runtime.addBinding', { name });
  await Promise.all([session.send('Runtime.enable'), session.send('Page.enable')]);
  await page.addInitScript(documentScript(word));
  // A 401 would draw a login dialog; the request goes on without credentials.
  session.on('Fetch.requestPaused', ({ requestId }) => {
    session.send('Fetch.continueRequest', { requestId }).catch(() => {});
  });
  session.on('Fetch.authRequired', ({ requestId }) => {
    onRefused('a login');
    const authChallengeResponse = { response: 'CancelAuth' } as const;
    session.send('Fetch.continueWithAuth', { requestId, authChallengeResponse }).catch(() => {});
  });
  await session.send('Fetch.enable', { handleAuthRequests: true, patterns: [{ urlPattern: '*' }] });
}

/** A page's text, shortened, and without the user and password in its addresses, which the browser writes in full. */
export function tellable(text: string): string {
  return text.replace(/\/\/[^\s/?#]*@/g, '//').slice(0, MAX_WORDS);
}

/**
 * Whether what was said on the console is an error of the recorded page.
 * @param said `url` is where it was said
 */
export function isPageError({ type, text, url }: { type: string; text: string; url: string }): boolean {
  // The browser itself asks for an icon, and when there is none it notes that as an error of the page.
  const isIcon = URL.parse(url)?.pathname === '/favicon.ico';
  return type === 'error' && !isIcon && !isOfEmptyPage(text);
}
