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
exec sh "$(dirname "$0")/install.sh" libfaketime faketime
