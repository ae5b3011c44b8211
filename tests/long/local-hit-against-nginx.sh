#!/usr/bin/env bash
# Local hits over HTTP: ghmesh beside nginx's proxy_cache on this machine, alternating, medians of five rounds.
#
# Loopback only, bounded, stops by itself. Needs nginx, wrk and a release build (`cargo build --release --bins -p ghmesh
# -p ghmesh-github-sim`). Prints requests per second and the 99th percentile of each, and their ratios.
set -euo pipefail

rounds=${ROUNDS:-5}
seconds=${SECONDS_PER_ROUND:-4}
connections=${CONNECTIONS:-64}
target=${CARGO_TARGET_DIR:-target}/release
dir=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap finish EXIT

"$target/github-sim" --listen 127.0.0.1:0 >"$dir/sim.log" &
pids+=($!)
until grep -q 'listening on' "$dir/sim.log"; do sleep 0.05; done
origin=$(grep -o 'http://[0-9.:]*' "$dir/sim.log" | head -n 1)

env -i PATH="$PATH" HOME="$dir" GHMESH_ORIGIN__URL="$origin" GHMESH_CACHE__DIR="$dir/data" \
  GHMESH_GATEWAY__SOCKET="$dir/ghmesh.sock" GHMESH_GATEWAY__LISTEN=127.0.0.1:19280 GHMESH_CACHE__DEFAULT_TTL=1h \
  GHMESH_MESH__ENABLED=false GHMESH_LOG__LEVEL=warn "$target/ghmesh" up 2>"$dir/ghmesh.log" &
pids+=($!)

cat >"$dir/nginx.conf" <<CONF
daemon off; worker_processes 2; pid $dir/nginx.pid; error_log $dir/error.log;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000000;
  proxy_cache_path $dir/cache keys_zone=one:10m;
  client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
  server {
    listen 127.0.0.1:19281 reuseport;
    location / {
      proxy_pass $origin; proxy_cache one; proxy_cache_key "\$uri\$http_authorization"; proxy_cache_valid 200 1h;
      proxy_ignore_headers Cache-Control Expires Vary Set-Cookie; proxy_buffering on;
    }
  }
}
CONF
nginx -p "$dir" -c "$dir/nginx.conf" 2>"$dir/nginx.log" &
pids+=($!)

token='Authorization: token ghp_alice0000000000000000000000000000000'
path=/repos/octo/hello
for port in 19280 19281; do
  until curl -sf -o "$dir/body-$port" -H "$token" "http://127.0.0.1:$port$path"; do sleep 0.05; done
  curl -sf -o /dev/null -H "$token" "http://127.0.0.1:$port$path"
done
cmp "$dir/body-19280" "$dir/body-19281"

measure() { # port -> "requests/s p99-in-ms"
  wrk -t1 -c"$connections" -d"${seconds}s" --latency -H "$token" "http://127.0.0.1:$1$path" >"$dir/wrk"
  if grep -q 'Non-2xx' "$dir/wrk"; then cat "$dir/wrk" >&2; exit 1; fi
  awk '/99%/ { v = $2; if (v ~ /us$/) v = v / 1000; else if (v ~ /ms$/) v += 0; else v *= 1000; p = v }
       /Requests\/sec/ { r = $2 } END { printf "%.0f %.2f\n", r, p }' "$dir/wrk"
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for _ in $(seq "$rounds"); do
  measure 19280 >>"$dir/ghmesh"
  measure 19281 >>"$dir/nginx"
done
for name in ghmesh nginx; do
  rate=$(cut -d' ' -f1 "$dir/$name" | median)
  tail=$(cut -d' ' -f2 "$dir/$name" | median)
  echo "$name: median of $rounds rounds: $rate requests/s, p99 $tail ms"
  echo "$rate $tail" >"$dir/$name.median"
done
paste -d' ' "$dir/ghmesh.median" "$dir/nginx.median" |
  awk '{ printf "ghmesh / nginx: throughput %.2f, p99 %.2f\n", $1 / $3, $2 / $4 }'
rss=$(awk '/VmRSS/ { print $2 }' "/proc/${pids[1]}/status")
echo "ghmesh resident memory after the load: $((rss / 1024)) MB"
