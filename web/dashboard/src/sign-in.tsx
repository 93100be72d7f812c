import { useState } from 'preact/hooks';
import { api, type Session } from './api.ts';
import { messageOf } from './hooks.ts';

export function SignIn({ onSignedIn }: { onSignedIn(session: Session): void }) {
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setError(undefined);
    try {
      onSignedIn(await api.signIn(String(given.get('id')).trim(), String(given.get('secret')).trim()));
    } catch (failure) {
      setError(messageOf(failure));
      setBusy(false);
    }
  };
  return (
    <main class="lonely">
      <form class="card sign-in" onSubmit={submit}>
        <h1 class="brand">
          <span class="dot" aria-hidden="true" />
          Aircheck
        </h1>
        <p class="hint">Sign in with the credentials of the REST API.</p>
        <label>
          Customer id
          <input name="id" autocomplete="username" required spellcheck={false} autocapitalize="off" />
        </label>
        <label>
          Customer secret
          <input name="secret" type="password" autocomplete="current-password" required />
        </label>
        <p class="error" role="alert">
          {error}
        </p>
        <button type="submit" class="main" disabled={busy}>
          Sign in
        </button>
      </form>
    </main>
  );
}
