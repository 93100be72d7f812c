/** The fields for the keys of a store that the server has forgotten. */
import type { CutRequest } from './api.ts';

/** @param required false where the server may keep them with the recording's days */
export function StoreKeys({ required = true }: { required?: boolean }) {
  return (
    <>
      <label>
        accessKey of the store
        <input name="accessKey" required={required} autocomplete="off" spellcheck={false} />
      </label>
      <label>
        secretKey
        <input name="secretKey" type="password" required={required} autocomplete="off" />
      </label>
    </>
  );
}

/** What was typed there; nothing where the fields were not shown. */
export function keysIn(form: FormData): Pick<CutRequest, 'keys'> {
  const text = (name: string) => String(form.get(name) ?? '').trim();
  return text('accessKey') ? { keys: { accessKey: text('accessKey'), secretKey: text('secretKey') } } : {};
}
