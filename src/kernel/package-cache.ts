/** Folder of what an installation makes once for all its data folders, and can make again. */
import { fileURLToPath } from 'node:url';

export const PACKAGE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/aircheck', import.meta.url));
