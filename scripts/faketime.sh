#!/bin/sh
# Makes sure that libfaketime is on this machine: one scenario of `make chaos` sets processes' clocks apart by it.
set -eu

for library in /usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib/faketime/libfaketimeMT.so.1; do
    if [ -r "$library" ]; then
        exit 0
    fi
done
if ! command -v apt-get >/dev/null 2>&1; then
    echo "libfaketime is missing: install it with this system's package manager, or one scenario is not run." >&2
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1; then
    sudo=sudo
else
    echo "libfaketime is missing, and installing it needs root: run this as root, or install it yourself." >&2
    exit 1
fi
echo "libfaketime is missing. It will be installed with: apt-get install faketime" >&2
if [ -t 0 ] && [ "${YES:-}" != 1 ]; then
    printf 'Go on? [y/N] ' >&2
    read -r answer
    [ "$answer" = y ] || exit 1
fi
$sudo apt-get update >&2
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends faketime >&2
