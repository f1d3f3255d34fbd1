#!/bin/sh
# Makes sure that PgBouncer is on this machine: one test runs queues through the real one.
set -eu

for program in "$(command -v pgbouncer || true)" /usr/sbin/pgbouncer; do
    if [ -n "$program" ] && [ -x "$program" ]; then
        exit 0
    fi
done

if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1; then
    sudo=sudo
else
    echo "PgBouncer is missing, and installing it needs root: run this as root, or install it yourself." >&2
    exit 1
fi
if command -v apt-get >/dev/null 2>&1; then
    echo "PgBouncer is missing. It will be installed with: apt-get install pgbouncer" >&2
    if [ -t 0 ] && [ "${YES:-}" != 1 ]; then
        printf 'Go on? [y/N] ' >&2
        read -r answer
        [ "$answer" = y ] || exit 1
    fi
    $sudo apt-get update >&2
    # Its package starts a service of its own; a container has no init to do it, and elsewhere it is idle.
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends pgbouncer >&2
elif command -v brew >/dev/null 2>&1; then
    echo "PgBouncer is missing. It will be installed with: brew install pgbouncer" >&2
    brew install pgbouncer >&2
else
    echo "PgBouncer is missing: install it with this system's package manager." >&2
    exit 1
fi
