#!/usr/bin/env bash
# Builds Pulumi's command line from Go modules into .tools/pulumi-VERSION/bin/pulumi, once: tests marked `engine` run it.
# go.mod names the version, go.sum the hashes. Some ten minutes on two cores, and 3 GB of Go's caches.
# Where there is no Go, or no way to its modules, nothing is built, and the tests say so and skip.
set -euo pipefail
cd "$(dirname "$0")"
package=github.com/pulumi/pulumi/pkg/v3/cmd/pulumi
sdk=github.com/pulumi/pulumi/sdk/v3
version=$(sed -n "s|^.*github.com/pulumi/pulumi/pkg/v3 \(v[^ ]*\).*|\1|p" go.mod)
tools=$(cd ../.. && pwd)/.tools
target=$tools/pulumi-$version/bin/pulumi

skip() {
	echo "== no Pulumi engine: $1; tests marked engine will skip"
	exit 0
}

if [ -x "$target" ]; then exit 0; fi
command -v go >/dev/null || skip "Go is not installed"
mkdir -p "$(dirname "$target")"
exec 9>"$tools/.pulumi.lock"
flock 9 # another run may be building it
if [ -x "$target" ]; then exit 0; fi

export GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0
wanted=$(sed -n 's/^go //p' go.mod)
has=$(go env GOVERSION)
[ "$(printf '%s\n' "$wanted" "${has#go}" | sort -V | head -1)" = "$wanted" ] || skip "it needs Go $wanted, here is ${has#go}"

echo "== building pulumi $version (once; some ten minutes)"
log=$tools/pulumi-$version/fetching.log
if ! packages=$(go list -deps "$package" 2>"$log"); then # fetches what the build needs
	if grep -q 'SECURITY ERROR' "$log"; then cat "$log" >&2; exit 1; fi
	skip "its Go modules can't be fetched ($(grep -v '^$' "$log" | tail -1 | cut -c1-200))"
fi
rm -f "$log"
total=$(wc -l <<<"$packages")
# -v names each package when its turn comes; packages in Go's cache are not named.
nice -n 10 go build -p 2 -v -trimpath -buildvcs=false -o "$target.new" \
	-ldflags "-s -w -X $sdk/go/common/version.Version=$version" "$package" 2>&1 |
	awk -v total="$total" '
		/^[a-z0-9.]+(\/|$)/ && !/:/ { done++; if (done % 100 == 0) { print "   " done " of at most " total " packages"; fflush() }; next }
		{ print; fflush() }'
mv "$target.new" "$target"
echo "== built: $("$target" version)"
