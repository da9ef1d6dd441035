#!/usr/bin/env bash
# Object stores for tests: moto (PyPI), which speaks S3, and Azurite (npm), which speaks Azure Blob Storage. Each has a bucket or
# container `millrace`, and any access key or the well-known development account.
#
#   objects.sh install | start | stop
#   objects.sh s3 | azure      print its endpoint
#
# Data is in memory and under $OBJECTS_STATE. Environment: OBJECTS_S3_PORT OBJECTS_AZURE_PORT OBJECTS_STATE
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/common.sh
. "$here/common.sh"
: "${OBJECTS_S3_PORT:=19090}" "${OBJECTS_AZURE_PORT:=19100}" "${OBJECTS_STATE:=$SERVICES_STATE/objects}"
azurite=$SERVICES_CACHE/azurite/node_modules/azurite/dist/src/blob/main.js
s3=http://127.0.0.1:$OBJECTS_S3_PORT
azure=http://127.0.0.1:$OBJECTS_AZURE_PORT/devstoreaccount1

python_with_moto() {
  local candidate
  for candidate in python3 "$SERVICES_CACHE/python/bin/python"; do
    if "$candidate" -c 'import moto.server' 2>/dev/null; then echo "$candidate"; return; fi
  done
}

install() {
  if [ -z "$(python_with_moto)" ]; then
    [ -d "$SERVICES_CACHE/python" ] || python3 -m venv "$SERVICES_CACHE/python"
    "$SERVICES_CACHE/python/bin/pip" install -q 'moto[server,s3]>=5.2,<6'
  fi
  if [ ! -f "$azurite" ]; then
    need npm
    mkdir -p "$SERVICES_CACHE/azurite"
    npm install --silent --no-fund --no-audit --prefix "$SERVICES_CACHE/azurite" azurite@3.35.0
  fi
}

await() {
  local tenth
  for ((tenth = 0; tenth < 600; tenth++)); do
    if listens "$1"; then return; fi
    sleep 0.1
  done
  die "nothing listens on port $1 after 60 s; see $OBJECTS_STATE"
}

start_s3() {
  setsid "$(python_with_moto)" -m moto.server -H 127.0.0.1 -p "$OBJECTS_S3_PORT" >"$OBJECTS_STATE/s3.log" 2>&1 </dev/null &
  echo $! >"$OBJECTS_STATE/s3.pid"
  await "$OBJECTS_S3_PORT"
  curl -fsS -o /dev/null -X PUT -H 'Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request' "$s3/millrace"
}

start_azure() {
  need node
  setsid node "$azurite" --silent --skipApiVersionCheck --blobHost 127.0.0.1 --blobPort "$OBJECTS_AZURE_PORT" --inMemoryPersistence \
    >"$OBJECTS_STATE/azure.log" 2>&1 </dev/null &
  echo $! >"$OBJECTS_STATE/azure.pid"
  await "$OBJECTS_AZURE_PORT"
  make_container
}

# Azurite's container, by a signed request: the development account and its key are known to everybody.
make_container() {
  python3 - "$OBJECTS_AZURE_PORT" <<'PYTHON'
import base64, datetime, hashlib, hmac, sys, urllib.request
account = "devstoreaccount1"
key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
date = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
headers = f"x-ms-date:{date}\nx-ms-version:2021-08-06\n"
resource = f"/{account}/{account}/millrace\nrestype:container"
signed = hmac.new(base64.b64decode(key), ("PUT" + "\n" * 12 + headers + resource).encode(), hashlib.sha256).digest()
request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/{account}/millrace?restype=container", method="PUT", headers={
    "x-ms-date": date, "x-ms-version": "2021-08-06", "Content-Length": "0",
    "Authorization": f"SharedKey {account}:{base64.b64encode(signed).decode()}"})
urllib.request.urlopen(request).read()
PYTHON
}

start() {
  need curl
  install
  mkdir -p "$OBJECTS_STATE"
  start_s3
  start_azure
}

stop() {
  end_own "$OBJECTS_STATE/s3.pid" moto.server
  end_own "$OBJECTS_STATE/azure.pid" azurite
}

case ${1:-} in
  install | start | stop) "$1" ;;
  s3) echo "$s3" ;;
  azure) echo "$azure" ;;
  *) sed -n '2,9p' "$0"; exit 2 ;;
esac
