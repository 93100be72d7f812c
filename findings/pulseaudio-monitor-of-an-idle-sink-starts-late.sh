#!/usr/bin/env bash
# PulseAudio 16.1 (Debian 12: pulseaudio, pulseaudio-utils), read on 2026-11-28.
# parec on the monitor of a null sink that nobody plays to, asked for blocks of 20 ms: the first block comes after one to two
# seconds (the idle sink wakes each two), then 50 a second. What a recorder counts from its start is that much short.
# Output seen:  first block after 1.1 s, then 20 ms apart
set -euo pipefail
for program in pulseaudio parec python3; do command -v "$program" >/dev/null || { echo "install $program first"; exit 2; }; done
dir=$(mktemp -d); trap 'kill $daemon 2>/dev/null || true; rm -rf "$dir"' EXIT; cd "$dir"
export HOME=$dir XDG_RUNTIME_DIR=$dir PULSE_SERVER=unix:$dir/sound.sock
chmod 700 "$dir"
pulseaudio -n --daemonize=no --use-pid-file=no --exit-idle-time=60 --log-level=error --realtime=no \
  -L 'module-null-sink sink_name=page rate=48000' -L "module-native-protocol-unix socket=$dir/sound.sock auth-anonymous=1" 2>/dev/null &
daemon=$!
for _ in $(seq 100); do [ -S sound.sock ] && break; sleep 0.1; done
cat > read.py <<'PY'
import subprocess, sys, time
reader = subprocess.Popen(['parec', '--device=page.monitor', '--raw', '--format=s16le', '--rate=48000', '--channels=2',
                           '--latency-msec=20'], stdout=subprocess.PIPE, bufsize=0)
start = time.monotonic()
times = []
while len(times) < 60:
    reader.stdout.read(65536)
    times.append(time.monotonic() - start)
reader.kill()
gaps = sorted(b - a for a, b in zip(times, times[1:]))
print(f'first block after {times[0]:.1f} s, then {gaps[len(gaps) // 2] * 1000:.0f} ms apart')
sys.exit(0 if 0.5 < times[0] < 2.5 and 0.01 < gaps[len(gaps) // 2] < 0.03 else 1)
PY
python3 read.py
