"""Records a channel for some seconds with Python's standard library, and prints its files.

    URL=http://127.0.0.1:7300 APP_ID=… CUSTOMER_ID=… CUSTOMER_SECRET=… TOKEN=… python3 record.py room 10

TOKEN is an RTC token for uid 9001; an app without a certificate needs none.
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request

BASE = f"{os.environ['URL']}/v1/apps/{os.environ['APP_ID']}/cloud_recording"
PAIR = f"{os.environ['CUSTOMER_ID']}:{os.environ['CUSTOMER_SECRET']}"
AUTHORIZATION = "Basic " + base64.b64encode(PAIR.encode()).decode()
# As the API's documentation has it: a call that the server was too slow for is made again.
WAITS = (3, 6, 9)


def call(method, path, body=None):
    """One call; its answer's status and JSON."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": AUTHORIZATION, "Content-Type": "application/json"}
    for wait in (*WAITS, None):
        request = urllib.request.Request(BASE + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        reply = json.loads(text)
        again = status >= 500 or (status == 206 and reply.get("code") == 65)
        if not again or wait is None:
            return status, reply
        time.sleep(wait)


def good(answer, *statuses):
    status, reply = answer
    if status not in statuses:
        sys.exit(f"{status}: {json.dumps(reply)}")
    return reply


def main():
    cname = sys.argv[1] if len(sys.argv) > 1 else "room"
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10
    names = {"cname": cname, "uid": "9001"}
    resource = good(call("POST", "/acquire", {**names, "clientRequest": {}}), 200)["resourceId"]
    request = {
        "recordingConfig": {"transcodingConfig": {"width": 640, "height": 360, "fps": 15, "bitrate": 600}},
        "recordingFileConfig": {"avFileType": ["hls", "mp4"]},
        "storageConfig": {"vendor": 1000, "region": 0, "bucket": "examples", "accessKey": "-", "secretKey": "-"},
    }
    if os.environ.get("TOKEN"):
        request["token"] = os.environ["TOKEN"]
    # 201: this resource id has started a recording already; its sid is in the answer.
    path = f"/resourceid/{resource}/mode/mix/start"
    sid = good(call("POST", path, {**names, "clientRequest": request}), 200, 201)["sid"]
    print(f"recording {sid}", file=sys.stderr)
    time.sleep(seconds)
    path = f"/resourceid/{resource}/sid/{sid}/mode/mix/stop"
    stopped = good(call("POST", path, {**names, "clientRequest": {}}), 200)
    files = [file["fileName"] for file in stopped["serverResponse"]["fileList"]]
    print(json.dumps({"sid": sid, "files": files}))


main()
