#!/bin/sh
# Makes sure that PgBouncer is on this machine: one test runs queues through the real one.
set -eu

for program in "$(command -v pgbouncer || true)" /usr/sbin/pgbouncer; do
    if [ -n "$program" ] && [ -x "$program" ]; then
        exit 0
    fi
done
# Its package starts a service of its own; a container has no init to do it, and elsewhere it is idle.
exec sh "$(dirname "$0")/install.sh" PgBouncer pgbouncer pgbouncer
