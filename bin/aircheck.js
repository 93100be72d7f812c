#!/usr/bin/env node
// A clone runs its sources as they are; the package has them built, because Node strips no types under node_modules.
import { existsSync } from 'node:fs';

const source = new URL('../src/app/cli/main.ts', import.meta.url);
await import(existsSync(source) ? source.href : new URL('../dist/app/cli/main.js', import.meta.url).href);
