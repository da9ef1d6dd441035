#!/usr/bin/env bash
# Object stores for tests: moto (PyPI), which speaks S3, and Azurite (npm), which speaks Azure Blob Storage. Each has a bucket or
# container `millrace`, and any access key or the well-known development account.
#
#   objects.sh install | start | stop
#   objects.sh s3 | azure      print its endpoint
#
# Data is in memory and under $OBJECTS_STATE. Environment: OBJECTS_S3_PORT OBJECTS_AZURE_PORT OBJECTS_STATE AZURITE_VERSION
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/common.sh
. "$here/common.sh"
: "${AZURITE_VERSION:=3.35.0}" "${OBJECTS_S3_PORT:=19090}" "${OBJECTS_AZURE_PORT:=19100}" "${OBJECTS_STATE:=$SERVICES_STATE/objects}"
azurite_folder=$SERVICES_CACHE/azurite-$AZURITE_VERSION
azurite=$azurite_folder/node_modules/azurite/dist/src/blob/main.js
s3=http://127.0.0.1:$OBJECTS_S3_PORT
azure=http://127.0.0.1:$OBJECTS_AZURE_PORT/devstoreaccount1

install() {
  [ -n "$(test_python)" ] || die "the tests' Python is missing; scripts/setup.sh test installs it"
  if [ ! -f "$azurite" ]; then
    need npm
    mkdir -p "$azurite_folder"
    npm install --silent --no-fund --no-audit --prefix "$azurite_folder" "azurite@$AZURITE_VERSION"
  fi
}

start_s3() {
  local python
  python=$(test_python) # before the server's process is there: looking takes seconds on a busy machine
  setsid "$python" -m moto.server -H 127.0.0.1 -p "$OBJECTS_S3_PORT" >"$OBJECTS_STATE/s3.log" 2>&1 </dev/null &
  echo $! >"$OBJECTS_STATE/s3.pid"
  await_server 60 moto "$OBJECTS_STATE/s3.pid" moto.server listens "$OBJECTS_S3_PORT"
  curl -fsS -o /dev/null -X PUT -H 'Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request' "$s3/millrace"
}

start_azure() {
  need node
  setsid node "$azurite" --silent --skipApiVersionCheck --blobHost 127.0.0.1 --blobPort "$OBJECTS_AZURE_PORT" --inMemoryPersistence \
    >"$OBJECTS_STATE/azure.log" 2>&1 </dev/null &
  echo $! >"$OBJECTS_STATE/azure.pid"
  await_server 60 Azurite "$OBJECTS_STATE/azure.pid" azurite listens "$OBJECTS_AZURE_PORT"
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
  if own_pid "$OBJECTS_STATE/s3.pid" moto.server >/dev/null; then return; fi
  need curl
  install
  local port
  for port in "$OBJECTS_S3_PORT" "$OBJECTS_AZURE_PORT"; do
    if listens "$port"; then die "port $port is in use"; fi
  done
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
