#!/usr/bin/env bash
# playwright-core 1.65.1 with Chromium (Debian 12), read on 2026-11-29.
# What page.evaluate() runs counts as done by a user's hand: transient activation (HTML §6.4) is there in a page that nobody touched, and
# with it all that a browser keeps for a hand. Whoever readies a page that way gives it what its own script would never have had. The same
# expression by plain CDP (Runtime.evaluate) finds none.
# Output seen:  by evaluate: active; by Runtime.evaluate: not active
# Needs Debian's chromium.
set -euo pipefail
{ command -v chromium || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }; } >/dev/null
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund playwright-core@1.65.1
cat > run.mjs <<'JS'
import { chromium } from 'playwright-core';

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const isActive = 'navigator.userActivation.isActive';
const say = (active) => (active ? 'active' : 'not active');
const by = async (evaluate) => {
  const page = await browser.newPage();
  await page.goto('data:text/html,<title>untouched</title>');
  const active = await evaluate(page);
  await page.close();
  return say(active);
};
const plain = await by(async (page) => {
  const session = await page.context().newCDPSession(page);
  return (await session.send('Runtime.evaluate', { expression: isActive, returnByValue: true })).result.value;
});
const line = `by evaluate: ${await by((page) => page.evaluate(isActive))}; by Runtime.evaluate: ${plain}`;
console.log(browser.version(), line);
await browser.close();
process.exit(line === 'by evaluate: active; by Runtime.evaluate: not active' ? 0 : 1);
JS
node run.mjs
