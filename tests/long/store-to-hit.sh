#!/usr/bin/env bash
# How long it takes from what one node has stored until all others hold it: 5, 20 and 60 real daemons, all but one of them behind
# one address. Prints the median, the 99th percentile and the most of 20 records at every other node, and how soon one more node, which
# has nothing, has them all. Needs root, nftables, and 2 GiB for 60 nodes.
#
#   cargo build --release --bins -p ghmesh -p ghmesh-github-sim && tests/long/store-to-hit.sh [SIZES]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

programs=$(realpath "${CARGO_TARGET_DIR:-target}/release")
GHMESH_TEST_PROGRAMS="${GHMESH_TEST_PROGRAMS:-$programs}" GHMESH_TEST_FLEETS="${1:-5,20,60}" cargo test --quiet -p ghmesh-tests --test sites -- \
  --ignored --exact --nocapture many_nodes_behind_one_address_are_one_mesh_and_every_record_reaches_all_and_who_comes_late | grep nodes
