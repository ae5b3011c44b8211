#!/usr/bin/env bash
# One daemon and a second one beside it, on loopback: time from the start to the first answer from the cache, memory while
# idle, and the time of answers that the other node fetched.
#
# Bounded, stops by itself. Needs a release build (`cargo build --release --bins -p ghmesh -p ghmesh-github-sim`) and curl.
set -euo pipefail

keys=${KEYS:-300}
starts=${STARTS:-5}
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
token='Authorization: token ghp_alice0000000000000000000000000000000'

milliseconds() { echo $(($(date +%s%N) / 1000000)); }
start() { # name, HTTP port, mesh port, other's mesh port
  env -i PATH="$PATH" HOME="$dir" GHMESH_ORIGIN__URL="$origin" GHMESH_CACHE__DIR="$dir/$1" GHMESH_CACHE__DEFAULT_TTL=1h \
    GHMESH_GATEWAY__SOCKET="$dir/$1.sock" GHMESH_GATEWAY__LISTEN="127.0.0.1:$2" GHMESH_MESH__DISCOVERY__MDNS=false \
    GHMESH_MESH__LISTEN="/ip4/127.0.0.1/tcp/$3" GHMESH_MESH__BOOTSTRAP="/ip4/127.0.0.1/tcp/$4" GHMESH_LOG__LEVEL=warn \
    GHMESH_MESH__SECRET="$secret" "$target/ghmesh" up 2>>"$dir/$1.log" &
  pids+=($!)
}
answers() { curl -sf --max-time 5 -o "$dir/body" -H "$token" "http://127.0.0.1:$1/repos/octo/hello"; }
connected() { curl -sf "http://127.0.0.1:$1/_ghmesh/stats" | grep -q '"connected_peers":1'; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
# Total times in milliseconds of one GET for each key, over one connection; where each came from goes to a file.
ask_all() { # port
  for key in $(seq "$keys"); do
    printf 'url = "http://127.0.0.1:%s/repos/octo/hello?key=%s"\noutput = "/dev/null"\n' "$1" "$key"
  done >"$dir/urls"
  curl -sf --max-time 60 -K "$dir/urls" -H "$token" -w '%{time_total} %header{cache-status}\n' |
    tee "$dir/answers-$1" | awk '{ print $1 * 1000 }'
}
resident_mb() { awk '/VmRSS/ { printf "%.1f\n", $2 / 1024 }' "/proc/$1/status"; }

secret=$("$target/ghmesh" secret new)
start one 19290 19390 19391
within_ten_seconds "the first answer" answers 19290
for _ in $(seq "$starts"); do
  kill "${pids[-1]}" && wait "${pids[-1]}" || true
  unset 'pids[-1]'
  begun=$(milliseconds)
  start one 19290 19390 19391
  within_ten_seconds "an answer after a restart" answers 19290
  echo $(($(milliseconds) - begun))
done >"$dir/starts"
echo "start to the first answer from the cache: $(median <"$dir/starts") ms, median of $starts"
one=${pids[-1]}
sleep 5
echo "resident memory, idle, alone in its mesh: $(resident_mb "$one") MB"

ask_all 19290 >/dev/null
start two 19291 19391 19390
two=${pids[-1]}
within_ten_seconds "the nodes are connected" connected 19291
echo "first answer at the other node: $(ask_all 19291 | median) ms, median of $keys, by origin of the answer:"
cut -d' ' -f2- "$dir/answers-19291" | sort | uniq -c
echo "second answer there: $(ask_all 19291 | median) ms"
sleep 5
echo "resident memory with $keys entries and one peer: $(resident_mb "$one") and $(resident_mb "$two") MB"
