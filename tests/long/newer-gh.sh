#!/usr/bin/env bash
# The tests of tests/tests/gh.rs with a newer gh than the distribution's, built from the Go module proxy.
#
# Bounded, stops by itself. Needs Go and a few minutes for the first build, which is kept beside the other clients. GH_VERSION names
# another version.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${GH_VERSION:-v2.63.2}
bin="${XDG_CACHE_HOME:-$HOME/.cache}/ghmesh/clients/gh-$version"

if [ ! -x "$bin/gh" ]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  # A module of nothing: the source is read-only, and its own go.sum counts.
  (cd "$scratch" && go mod init scratch 2>/dev/null && go mod download "github.com/cli/cli/v2@$version")
  source="$(go env GOMODCACHE)/github.com/cli/cli/v2@$version"
  mkdir -p "$bin"
  (cd "$source" && go build -trimpath -mod=readonly -ldflags "-X github.com/cli/cli/v2/internal/build.Version=${version#v}" -o "$bin/gh" ./cmd/gh)
fi
"$bin/gh" --version | head -n 1
# gh 2.63 keeps the time of `gh api --cache` to itself: ghmesh is told nothing of it.
PATH="$bin:$PATH" cargo test --quiet --locked -p ghmesh-tests --test gh -- --include-ignored --skip gh_api_cache
