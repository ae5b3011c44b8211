#!/usr/bin/env bash
# What a fleet asks GitHub that is larger than one node's circle of neighbours: 73 real daemons, 36 behind each of two routers, and one
# outside, by which alone the two sides hear of each other. Prints the calls for ten keys, each of which four nodes of one side ask for,
# and four of the other while GitHub has not answered yet. Needs root, nftables, and 4 GiB.
#
#   cargo build --release --bins -p ghmesh -p ghmesh-github-sim && tests/long/two-circles.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

programs=$(realpath "${CARGO_TARGET_DIR:-target}/release")
GHMESH_TEST_PROGRAMS="${GHMESH_TEST_PROGRAMS:-$programs}" cargo test --quiet -p ghmesh-tests --test sites -- \
  --ignored --exact --nocapture measure_what_two_circles_ask_that_only_gossip_joins | grep nodes
