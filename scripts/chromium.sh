#!/bin/sh
# Makes sure that Chromium and its driver are on this machine: the dashboard is tested in a real browser.
set -eu

if command -v chromedriver >/dev/null 2>&1; then
    exit 0
fi
exec sh "$(dirname "$0")/install.sh" "Chromium's driver" "chromium chromium-driver" "--cask chromium chromedriver"
