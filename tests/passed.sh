#!/bin/sh
# passed.sh FILE COMMAND...: runs pytest and, if that passes, keeps in FILE what it counted.
set -e
file=$1
shift
mkdir -p "$(dirname "$file")"
"$@" >"$file.log" 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null' INT TERM
tail -n +1 -f --pid="$pid" "$file.log" | sed -u "s|^|$(basename "$file" .passed): |"
wait "$pid" || { echo "$(basename "$file" .passed): FAILED, see $file.log" >&2; exit 1; }
grep -E "requests, [0-9]+ with|passed" "$file.log" | tail -n 2 | sed "s|^|$(basename "$file" .passed): |" >"$file"
