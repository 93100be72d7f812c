#!/bin/sh
# Records a channel for some seconds with curl, and prints the answer to stop.
#
#   URL=http://127.0.0.1:7300 APP_ID=… CUSTOMER_ID=… CUSTOMER_SECRET=… TOKEN=… sh record.sh room 10
#
# TOKEN is an RTC token for uid 9002; an app without a certificate needs none.
set -eu
cname=${1:-room}
seconds=${2:-10}
base=$URL/v1/apps/$APP_ID/cloud_recording

call() {
  curl --silent --show-error --fail-with-body --max-time 40 --retry 3 --retry-delay 3 \
    --user "$CUSTOMER_ID:$CUSTOMER_SECRET" --header 'Content-Type: application/json' --data "$2" "$base$1"
}
# The value of a member that is text.
member() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

resource=$(call /acquire "{\"cname\":\"$cname\",\"uid\":\"9002\",\"clientRequest\":{}}" | member resourceId)
started=$(call "/resourceid/$resource/mode/mix/start" "{\"cname\":\"$cname\",\"uid\":\"9002\",\"clientRequest\":{
  \"token\":\"${TOKEN:-}\",
  \"recordingConfig\":{\"transcodingConfig\":{\"width\":640,\"height\":360,\"fps\":15,\"bitrate\":600}},
  \"recordingFileConfig\":{\"avFileType\":[\"hls\",\"mp4\"]},
  \"storageConfig\":{\"vendor\":1000,\"region\":0,\"bucket\":\"examples\",\"accessKey\":\"-\",\"secretKey\":\"-\"}}}")
sid=$(echo "$started" | member sid)
echo "recording $sid" >&2
sleep "$seconds"
call "/resourceid/$resource/sid/$sid/mode/mix/stop" "{\"cname\":\"$cname\",\"uid\":\"9002\",\"clientRequest\":{}}"
echo
