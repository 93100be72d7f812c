/** App: who is signed in, which app is looked at, and which page is shown. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type Session, whenSignedOut } from './api.ts';
import { Channels } from './channels.tsx';
import { Health } from './health.tsx';
import { linkTo, messageOf, useRoute } from './hooks.ts';
import { RecordingPage } from './recording.tsx';
import { Recordings } from './recordings.tsx';
import { SignIn } from './sign-in.tsx';

const PAGES = [
  ['recordings', 'Recordings'],
  ['channels', 'Channels'],
  ['health', 'Health'],
] as const;

export function App() {
  const [session, setSession] = useState<Session | null>();
  const [failure, setFailure] = useState<string>();
  useEffect(() => {
    whenSignedOut(() => setSession(null));
    api.session().then(setSession, (error) => {
      if (error.status === 401) setSession(null);
      else setFailure(messageOf(error));
    });
  }, []);
  if (failure !== undefined) return <main class="lonely">{failure}</main>;
  if (session === undefined) return <main class="lonely" aria-busy="true" />;
  if (session === null) return <SignIn onSignedIn={setSession} />;
  if (session.apps.length === 0) return <main class="lonely">This customer may use no app of this server.</main>;
  return <SignedIn session={session} onSignedOut={() => setSession(null)} />;
}

function SignedIn({ session, onSignedOut }: { session: Session; onSignedOut(): void }) {
  const [asked = '', page = 'recordings', what = ''] = useRoute();
  const appid = session.apps.includes(asked) ? asked : (session.apps[0] ?? '');
  const title = PAGES.find(([name]) => name === page)?.[1] ?? 'Recordings';
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${title} · Aircheck`;
  }, [title]);
  // Whoever reads by ear is brought to each new page.
  useEffect(() => {
    if (!isFirst.current) main.current?.focus();
    isFirst.current = false;
  }, [page, what, appid]);
  const signOut = () => {
    api.signOut().then(onSignedOut, onSignedOut);
  };
  return (
    <div class="frame">
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header class="bar">
        <a class="brand" href={linkTo(appid, 'recordings')}>
          <span class="dot" aria-hidden="true" />
          Aircheck
        </a>
        <nav aria-label="Pages">
          {PAGES.map(([name, label]) => (
            <a key={name} href={linkTo(appid, name)} aria-current={page === name ? 'page' : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <div class="who">
          {session.apps.length > 1 && (
            <label class="pick">
              <span>App</span>
              <select
                value={appid}
                onChange={({ currentTarget }) => {
                  location.hash = linkTo(currentTarget.value, page);
                }}
              >
                {session.apps.map((each) => (
                  <option key={each} value={each}>
                    {each}
                  </option>
                ))}
              </select>
            </label>
          )}
          <button type="button" class="quiet" onClick={signOut} title={`Signed in as ${session.customer}`}>
            Sign out
          </button>
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {page === 'channels' ? (
          <Channels key={appid} appid={appid} />
        ) : page === 'health' ? (
          <Health key={appid} appid={appid} session={session} />
        ) : what !== '' ? (
          <RecordingPage key={what} appid={appid} sid={what} />
        ) : (
          <Recordings key={appid} appid={appid} />
        )}
      </main>
    </div>
  );
}
