#!/usr/bin/env bash
# Two daemons that know nothing of each other meet in a DHT of real IPFS nodes (Kubo), all on loopback; and Kubo checks this
# repository's golden IPNS record.
#
# Kubo keeps private addresses in a DHT of its own, /ipfs/lan/kad/1.0.0, which here takes the public one's place: the same code on both
# sides, under another name. Nothing leaves the machine.
#
# Bounded (two minutes after the build), stops by itself. Needs Go, a build (`cargo build --release --bins -p ghmesh -p
# ghmesh-github-sim`; PROFILE=debug takes the debug build) and curl. Kubo is built once, in five minutes, and kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${KUBO_VERSION:-v0.34.1}
nodes=${KUBO_NODES:-4}
tools="${XDG_CACHE_HOME:-$HOME/.cache}/ghmesh/tools"
ipfs="$tools/kubo-$version/ipfs"

if [ ! -x "$ipfs" ]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  # A module of nothing: the source is read-only, and its own go.sum counts.
  (cd "$scratch" && go mod init scratch 2>/dev/null && go mod download "github.com/ipfs/kubo@$version")
  source="$(go env GOMODCACHE)/github.com/ipfs/kubo@$version"
  mkdir -p "$(dirname "$ipfs")"
  (cd "$source" && nice go build -trimpath -mod=readonly -ldflags='-s -w' -o "$ipfs" ./cmd/ipfs)
  rm -rf "$scratch"
fi
"$ipfs" version

source tests/long/common.bash
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
# A free port below those that the system gives to connections.
free_port() {
  local port
  while port=$((RANDOM % 20000 + 10000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
  echo "$port"
}

# --- the DHT

kubo() { # number, arguments...
  local number=$1
  shift
  IPFS_PATH="$dir/kubo-$number" "$ipfs" "$@"
}
known=()
begun=$(milliseconds)
for number in $(seq "$nodes"); do
  port=$(free_port)
  kubo "$number" init --profile=test --empty-repo >/dev/null
  kubo "$number" config Routing.Type dhtserver
  kubo "$number" config --json Routing.LoopbackAddressesOnLanDHT true
  # Over TCP alone: this version's QUIC panics at some handshakes where Go is newer than it.
  kubo "$number" config --json Addresses.Swarm "[\"/ip4/127.0.0.1/tcp/$port\"]"
  for address in "${known[@]}"; do kubo "$number" bootstrap add "$address" >/dev/null; done
  IPFS_PATH="$dir/kubo-$number" "$ipfs" daemon >"$dir/kubo-$number.log" 2>&1 &
  pids+=($!)
  within_ten_seconds "Kubo $number is up" grep -q 'Daemon is ready' "$dir/kubo-$number.log"
  known+=("/ip4/127.0.0.1/tcp/$port/p2p/$(kubo "$number" id -f='<id>')")
done
knows_the_others() { [ "$(kubo "$1" stats dht lan | grep -c ' 12D3Koo')" -ge "$((nodes - 1))" ]; }
for number in $(seq "$nodes"); do within_ten_seconds "Kubo $number knows the others" knows_the_others "$number"; done
echo "$nodes Kubo nodes are one DHT after $(($(milliseconds) - begun)) ms"

# --- the golden record

golden=crates/mesh/fixtures/ipns-record.txt
name=$(sed -n 's/^name = //p' "$golden")
sed -n 's/^record = //p' "$golden" | xxd -r -p >"$dir/record"
kubo 1 name inspect --verify="$name" "$dir/record" >"$dir/inspected"
grep -Eq 'Valid: +true' "$dir/inspected" || { cat "$dir/inspected"; echo "Kubo does not accept the golden record" >&2; exit 1; }
printf '\x00' | dd of="$dir/record" bs=1 seek=20 conv=notrunc status=none
if kubo 1 name inspect --verify="$name" "$dir/record" 2>/dev/null | grep -Eq 'Valid: +true'; then
  echo "Kubo accepts a record that was changed: this check is worth nothing" >&2
  exit 1
fi
echo "Kubo accepts the golden record, and not a changed one"

# --- the daemons

start() { # name, HTTP port, mesh port, secret, the DHT's node
  env -i PATH="$PATH" HOME="$dir" GHMESH_ORIGIN__URL="$origin" GHMESH_CACHE__DIR="$dir/$1" GHMESH_GATEWAY__SOCKET="$dir/$1.sock" \
    GHMESH_GATEWAY__LISTEN="127.0.0.1:$2" GHMESH_MESH__LISTEN="/ip4/127.0.0.1/tcp/$3" GHMESH_MESH__DISCOVERY__MDNS=false \
    GHMESH_MESH__DISCOVERY__DHT__ENABLED=true GHMESH_MESH__DISCOVERY__DHT__BOOTSTRAP="$5" \
    GHMESH_MESH__DISCOVERY__DHT__ANNOUNCE="/ip4/127.0.0.1/tcp/$3" GHMESH_MESH__DISCOVERY__DHT__PROTOCOL=/ipfs/lan/kad/1.0.0 \
    GHMESH_LOG__LEVEL=info,ghmesh_mesh=debug GHMESH_MESH__SECRET="$4" "$target/ghmesh" up 2>>"$dir/$1.log" &
  pids+=($!)
}
connected() { curl -sf "http://127.0.0.1:$1/_ghmesh/stats" | grep -q "\"connected_peers\":$2"; }
# The slowest lawful case: both look before either has written, and again after ten seconds and jitter.
within_a_minute() { # what, command...
  local what=$1
  shift
  for _ in $(seq 600); do
    if "$@"; then return; fi
    sleep 0.1
  done
  echo "not within a minute: $what" >&2
  tail -n 20 "$dir"/{one,two,three}.log >&2
  exit 1
}

secret=$("$target/ghmesh" secret new)
one=$(free_port) two=$(free_port) foreign=$(free_port)
begun=$(milliseconds)
start one "$one" "$(free_port)" "$secret" "${known[0]}"
start two "$two" "$(free_port)" "$secret" "${known[$((nodes - 1))]}"
start foreign "$foreign" "$(free_port)" "$("$target/ghmesh" secret new)" "${known[0]}"
within_a_minute "the daemons have met" connected "$one" 1
within_a_minute "the daemons have met" connected "$two" 1
echo "two daemons that start at once have met after $(($(milliseconds) - begun)) ms"

three=$(free_port)
begun=$(milliseconds)
start three "$three" "$(free_port)" "$secret" "${known[1]}"
within_a_minute "a third one has met both" connected "$three" 2
echo "a third one has met both $(($(milliseconds) - begun)) ms after its start"

connected "$foreign" 0 || { echo "a daemon with another secret has company" >&2; exit 1; }
grep -q 'the DHT was visited' "$dir/foreign.log" || { echo "the daemon with another secret never looked" >&2; exit 1; }
echo "a daemon with another secret has found nobody"
grep -h 'the DHT was visited\|is refused' "$dir"/{one,two,three,foreign}.log | sed 's/^[^ ]* //' | sort | uniq -c
