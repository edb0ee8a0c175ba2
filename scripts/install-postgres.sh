#!/bin/bash
# install-postgres.sh [PREFIX]
#
# Puts a native PostgreSQL with pgvector into a private prefix (default: .cache/postgres in this repository) on Debian 12,
# from Debian packages alone: PostgreSQL 18 of sid, or 17 of trixie should sid be broken today. Nothing is installed
# system-wide, and nothing is done when the prefix already works. Needs no root, but then apt's package lists must be
# there (`sudo apt-get update`).
#
# The last line of the output is the folder of the programs; the tests find the default prefix by themselves, and any
# other through POSTGRES_BIN. The server refuses to run as root: the test server changes to an unprivileged user.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=${1:-$repository/.cache/postgres}
mkdir -p "$prefix"
prefix=$(cd "$prefix" && pwd)

say() { echo "install-postgres: $*" >&2; }

# usable BIN: the programs run, and pgvector lies where they look for it.
usable() {
  local share=${1%/lib/postgresql/*}/share/postgresql
  [ -x "$1/postgres" ] && [ -x "$1/initdb" ] && "$1/postgres" --version >/dev/null 2>&1 &&
    compgen -G "$share/*/extension/vector.control" >/dev/null
}

for bin in "$prefix"/root/usr/lib/postgresql/*/bin; do
  if usable "$bin"; then
    say "already there: $("$bin/postgres" --version)"
    echo "$bin"
    exit 0
  fi
done

case $(dpkg --print-architecture) in
  amd64) triplet=x86_64-linux-gnu loader=ld-linux-x86-64.so.2 ;;
  arm64) triplet=aarch64-linux-gnu loader=ld-linux-aarch64.so.1 ;;
  *) say "no recipe for the architecture $(dpkg --print-architecture)"; exit 1 ;;
esac

# The mirror that apt is set up with; its releases are known only after an update, which a bare container lacks.
mirror() {
  apt-get indextargets --format '$(SITE) $(ORIGIN) $(CODENAME)' 'Created-By: Packages' |
    awk '$2 == "Debian" && $3 !~ /security|updates|backports/ { print $1; exit }'
}
site=$(mirror)
if [ -z "$site" ]; then
  apt-get -qq update
  site=$(mirror)
fi
[ -n "$site" ] || { say "apt knows no Debian mirror; check /etc/apt and run apt-get update"; exit 1; }

# patchelf is for the machine's own release, so it comes from the machine's own apt; unpacking it is enough.
patchelf=$(command -v patchelf || true)
if [ -z "$patchelf" ]; then
  mkdir -p "$prefix/tools"
  (
    cd "$prefix/tools"
    # As root apt would download as an account of its own, which may not be allowed to write here.
    download() { apt-get -qq -o APT::Sandbox::User=root download patchelf; }
    download || { apt-get -qq update && download; }
    dpkg -x patchelf_*.deb .
  ) >&2
  patchelf=$prefix/tools/usr/bin/patchelf
fi

# fetch SUITE VERSION: downloads the server with every library down to libc, and unpacks them side by side.
fetch() {
  local suite=$1 version=$2 apt=$prefix/apt
  rm -rf "$apt" "$prefix/root" "$prefix/debs"
  mkdir -p "$apt/lists/partial" "$apt/none" "$prefix/debs/partial" "$prefix/root"
  : >"$apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $suite main" >"$apt/sources.list"
  cat >"$apt/apt.conf" <<CONF
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "$apt/none";
Dir::Etc::PreferencesParts "$apt/none";
Dir::State::Lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dir::Cache::archives "$prefix/debs";
APT::Install-Recommends "0";
APT::Sandbox::User "root";
Acquire::Retries "3";
CONF
  say "downloading PostgreSQL $version with pgvector from $suite"
  APT_CONFIG=$apt/apt.conf apt-get -qq update >&2 || return 1
  APT_CONFIG=$apt/apt.conf apt-get -qq -y -o Debug::NoLocking=true --download-only install \
    "postgresql-$version" "postgresql-$version-pgvector" >/dev/null || return 1
  find "$prefix/debs" -maxdepth 1 -name '*.deb' -print0 | xargs -0 -P2 -I{} dpkg -x {} "$prefix/root" || return 1
  relocate "$prefix/root/usr/lib/postgresql/$version/bin" || return 1
  # Downloads are of no more use, and large.
  rm -rf "$apt" "$prefix/debs" "$prefix/tools"
}

# relocate BIN: ties the programs to the libraries beside them, whatever is on the machine.
relocate() {
  local lib=$prefix/root/usr/lib/$triplet program
  bin=$1
  for program in "$bin"/*; do
    if [ "$(head -c4 "$program" | tail -c3)" = ELF ]; then
      "$patchelf" --set-interpreter "$lib/$loader" --force-rpath --set-rpath "$lib" "$program" || return 1
    fi
  done
  usable "$bin"
}

if fetch sid 18 || fetch trixie 17; then
  say "installed $("$bin/postgres" --version)"
  echo "$bin"
else
  say "neither sid nor trixie gave a working server; see the messages above"
  exit 1
fi
