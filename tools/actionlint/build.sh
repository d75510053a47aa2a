#!/usr/bin/env bash
# Builds actionlint from Go modules into .tools/actionlint-VERSION/bin/actionlint, once: a test of the rendered workflows
# runs it. go.mod names the version, go.sum the hashes. Where there is no Go, or no way to its modules, nothing is built,
# and the test says so and skips.
set -euo pipefail
cd "$(dirname "$0")"
module=github.com/rhysd/actionlint
version=$(sed -n "s|^.*$module \(v[^ ]*\).*|\1|p" go.mod)
target=$(cd ../.. && pwd)/.tools/actionlint-$version/bin/actionlint

skip() {
	echo "== no actionlint: $1; its test will skip"
	exit 0
}

if [ -x "$target" ]; then exit 0; fi
command -v go >/dev/null || skip "Go is not installed"
export GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0
wanted=$(sed -n 's/^go //p' go.mod)
has=$(go env GOVERSION)
[ "$(printf '%s\n' "$wanted" "${has#go}" | sort -V | head -1)" = "$wanted" ] || skip "it needs Go $wanted, here is ${has#go}"

echo "== building actionlint $version (once; a minute)"
mkdir -p "$(dirname "$target")"
log=$(dirname "$target")/fetching.log
if ! go list -deps "$module/cmd/actionlint" >/dev/null 2>"$log"; then # fetches what the build needs
	if grep -q 'SECURITY ERROR' "$log"; then cat "$log" >&2; exit 1; fi
	skip "its Go modules can't be fetched ($(grep -v '^$' "$log" | tail -1 | cut -c1-200))"
fi
rm -f "$log"
nice -n 10 go build -p 2 -trimpath -buildvcs=false -ldflags "-s -w" -o "$target.new" "$module/cmd/actionlint"
mv "$target.new" "$target"
echo "== built: $("$target" -version | head -1)"
