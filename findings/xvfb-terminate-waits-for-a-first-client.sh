#!/usr/bin/env bash
# Xvfb 21.1.7 (Debian 12: xvfb 2:21.1.7-3+deb12u13), read on 2026-11-29.
# -terminate ends the server when its last client leaves. One that never had a client stays for ever: whoever starts a screen and dies
# before the first window leaves it behind, and has to end it by other means (such as a signal at the parent's death).
# Output seen:  without a client: running after 5 s; after its only client left: gone
# Needs Debian's xvfb and x11-utils.
set -euo pipefail
{ command -v Xvfb && command -v xdpyinfo || { apt-get update -qq && apt-get install -y -qq --no-install-recommends xvfb x11-utils; }; } >/dev/null
dpkg-query -W xvfb
dir=$(mktemp -d); pid=; trap 'kill $pid 2>/dev/null || true; rm -rf "$dir"' EXIT; cd "$dir"
Xvfb -displayfd 3 -screen 0 320x240x24 -nolisten tcp -terminate 3>number 2>/dev/null &
pid=$!
for _ in $(seq 100); do [ -s number ] && break; sleep 0.1; done
sleep 5
state() { if kill -0 $pid 2>/dev/null; then echo "$1"; else echo gone; fi; }
before=$(state 'running after 5 s')
DISPLAY=:$(cat number) xdpyinfo > /dev/null
for _ in $(seq 50); do kill -0 $pid 2>/dev/null || break; sleep 0.1; done
line="without a client: $before; after its only client left: $(state 'still there')"
echo "$line"
[ "$line" = 'without a client: running after 5 s; after its only client left: gone' ]
