#!/bin/sh
# Makes sure that Chromium and its driver are on this machine: the dashboard is tested in a real browser.
set -eu

if command -v chromedriver >/dev/null 2>&1; then
    exit 0
fi

if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1; then
    sudo=sudo
else
    echo "Chromium's driver is missing, and installing it needs root: run this as root, or install it yourself." >&2
    exit 1
fi
if command -v apt-get >/dev/null 2>&1; then
    echo "Chromium's driver is missing. It will be installed with: apt-get install chromium chromium-driver" >&2
    if [ -t 0 ] && [ "${YES:-}" != 1 ]; then
        printf 'Go on? [y/N] ' >&2
        read -r answer
        [ "$answer" = y ] || exit 1
    fi
    $sudo apt-get update >&2
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium chromium-driver >&2
elif command -v brew >/dev/null 2>&1; then
    echo "Chromium's driver is missing. It will be installed with: brew install --cask chromium chromedriver" >&2
    brew install --cask chromium chromedriver >&2
else
    echo "Chromium's driver is missing: install it with this system's package manager." >&2
    exit 1
fi
