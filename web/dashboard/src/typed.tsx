/** A field whose value may change meanwhile: what is typed stays as it is typed, until the field is left. */
import { useState } from 'preact/hooks';

type Props = {
  label: string;
  value: string;
  /** @returns whether it can be read */
  onTyped(text: string): boolean;
  /** Of a number. */
  range?: { min: number; max: number; step: number };
  placeholder?: string;
  /** The id of a list of suggestions. */
  list?: string;
};

export function Typed({ label, value, onTyped, range, placeholder = '', list = '' }: Props) {
  const [typed, setTyped] = useState<{ text: string; isRead: boolean }>();
  return (
    <label>
      {label}
      <input
        {...(range ? { type: 'number' as const, ...range } : { type: 'text' as const, inputMode: 'decimal' as const })}
        {...(list !== '' && { list })}
        placeholder={placeholder}
        value={typed?.text ?? value}
        aria-invalid={typed?.isRead === false}
        onInput={({ currentTarget: { value: text } }) => setTyped({ text, isRead: onTyped(text) })}
        onBlur={() => setTyped(undefined)}
      />
    </label>
  );
}
