/** The part of XML that S3 uses: elements without attributes that hold text. Pure. */
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** The text of the first element of this name; undefined when there is none. */
export function elementText(xml: string, name: string): string | undefined {
  const text = xml.match(new RegExp(`<${name}>([^<]*)</${name}>`))?.[1];
  return text?.replace(/&(?:#(\d{1,7})|(\w+));/g, (whole, code: string | undefined, entity: string) =>
    code === undefined ? (ENTITIES[entity] ?? whole) : String.fromCodePoint(Math.min(Number(code), 0x10ffff)),
  );
}

/** The content of each element with this name; none of them may contain another one. */
export function elements(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs'))].map(([, content = '']) => content);
}

/** An element that holds text, or elements made by this function. */
export function element(name: string, content: string | readonly XmlElement[]): XmlElement {
  const text =
    typeof content === 'string' ? content.replace(/[&<>]/g, (char) => ESCAPED[char] ?? char) : content.join('');
  return `<${name}>${text}</${name}>` as XmlElement;
}

export type XmlElement = string & { readonly xml: unique symbol };
const ESCAPED: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
