#!/bin/sh
# Compiles the C half of a call (unitd/call/native/*.c) into the library that unitd loads.
#
# usage: tools/build_native.sh
#
# Needs gcc and the GStreamer that the call uses anyway; no headers of it. Replaces the library in one step, so a
# running call keeps its own. `make setup` calls this.
set -eu
cd "$(dirname "$0")/../unitd/call/native"
made=libunitd_call.so
trap 'rm -f "$made.new"' EXIT
# GStreamer by the names of its libraries: what is linked is what is loaded, and no -dev package is needed.
${CC:-gcc} -std=gnu11 -O3 -fPIC -shared -fvisibility=hidden -Wall -Wextra -Wno-unknown-pragmas \
    -o "$made.new" ./*.c -l:libgstapp-1.0.so.0 -l:libgstrtp-1.0.so.0 -l:libgstreamer-1.0.so.0 -lm
mv "$made.new" "$made"
