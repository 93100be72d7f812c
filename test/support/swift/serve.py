#!/usr/bin/python3
"""Runs the four servers of OpenStack Swift in this one process, by the files in the folder that is given, and says the
port of the proxy. Each takes a free port of the loopback address; the rings are made for those.

Swift's own programs are a process each, and want a machine that is set up for them in /etc/swift. This needs Debian's
python3-swift alone.
"""
import json
import os
import pwd
import sys

import eventlet
import eventlet.wsgi
from swift.common import utils

folder = sys.argv[1]
region = sys.argv[2]
utils.SWIFT_CONF_FILE = os.path.join(folder, 'swift.conf')
with open(utils.SWIFT_CONF_FILE, 'w') as conf:
    conf.write('[swift-hash]\nswift_hash_path_suffix = test\nswift_hash_path_prefix = test\n')
utils.eventlet_monkey_patch()

# These read the file when they are imported.
from swift.common import wsgi
from swift.common.ring import RingBuilder

user = pwd.getpwuid(os.geteuid()).pw_name
devices = os.path.join(folder, 'devices')
os.makedirs(os.path.join(devices, 'd1'))

COMMON = f"""[DEFAULT]
bind_ip = 127.0.0.1
user = {user}
swift_dir = {folder}
devices = {devices}
mount_check = false
fallocate_reserve = 0
workers = 0
log_address = {folder}/no-log
"""
STORAGE = COMMON + """
[pipeline:main]
pipeline = NAME-server
[app:NAME-server]
use = egg:swift#NAME
"""
PROXY = COMMON + f"""
[pipeline:main]
pipeline = catch_errors gatekeeper s3api tempauth bulk slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:s3api]
use = egg:swift#s3api
location = {region}
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
"""


class Cache:
    """What the proxy keeps in memcached elsewhere; nothing here lives long enough to expire."""

    def __init__(self):
        self.kept = {}

    def get(self, key, raise_on_error=False):
        return self.kept.get(key)

    def set(self, key, value, *_, **__):
        self.kept[key] = value

    def delete(self, key, *_, **__):
        self.kept.pop(key, None)


def serve(name, text, socket):
    """Begins to serve the configuration `text` on `socket`."""
    path = os.path.join(folder, f'{name}-server.conf')
    with open(path, 'w') as file:
        file.write(text.replace('NAME', name))
    app = wsgi.loadapp(path, global_conf={'log_name': name})
    cache = Cache()

    def with_cache(env, start_response):
        env['swift.cache'] = cache
        return app(env, start_response)

    # As wsgi.run_server does, which would take another event loop for each.
    eventlet.spawn(
        eventlet.wsgi.server, socket, with_cache, utils.NullLogger(),
        protocol=wsgi.SwiftHttpProtocol, capitalize_response_headers=False,
    )


sockets = {name: eventlet.listen(('127.0.0.1', 0)) for name in ('account', 'container', 'object', 'proxy')}
for name in ('account', 'container', 'object'):
    builder = RingBuilder(1, 1, 0)
    builder.add_dev({
        'id': 0, 'region': 1, 'zone': 1, 'weight': 1.0, 'device': 'd1', 'meta': '',
        'ip': '127.0.0.1', 'port': sockets[name].getsockname()[1],
        'replication_ip': '127.0.0.1', 'replication_port': sockets[name].getsockname()[1],
    })
    builder.rebalance()
    builder.get_ring().save(os.path.join(folder, f'{name}.ring.gz'))
for name in ('account', 'container', 'object'):
    serve(name, STORAGE, sockets[name])
serve('proxy', PROXY, sockets['proxy'])
print(json.dumps({'port': sockets['proxy'].getsockname()[1]}), flush=True)
# Ends with whoever started it.
eventlet.hubs.trampoline(sys.stdin.fileno(), read=True)
