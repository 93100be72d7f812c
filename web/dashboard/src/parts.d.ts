/** What the bundler knows and TypeScript does not. */
declare module '*.css';
/** The same player without what recordings have no use for: other languages, subtitles, rights. */
declare module 'hls.js/light' {
  export { default } from 'hls.js';
}
