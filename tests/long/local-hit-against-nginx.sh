#!/usr/bin/env bash
# Local hits over HTTP: ghmesh beside nginx's proxy_cache on this machine, alternating, medians of all rounds.
#
# Loopback only, bounded, stops by itself. Needs a release build (`cargo build --release --bins -p ghmesh -p ghmesh-github-sim`);
# nginx and wrk are installed from Debian where they are missing. Prints requests per second, the 99th percentile and the CPU
# time of one request (all that other programs disturb the least) of each, and their ratios. nginx is set up as Debian does (sendfile, tcp_nopush), with its files kept open, which helps it.
set -euo pipefail

rounds=${ROUNDS:-5}
seconds=${SECONDS_PER_ROUND:-4}
connections=${CONNECTIONS:-64}
ghmesh_port=${GHMESH_PORT:-19280}
nginx_port=${NGINX_PORT:-19281}
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"

# `command -v` with several names is content with one of them.
if ! { command -v nginx && command -v wrk && command -v curl; } >/dev/null; then
  apt-get update -qq && apt-get install -y -qq nginx-light wrk curl >/dev/null
fi

env -i PATH="$PATH" HOME="$dir" GHMESH_ORIGIN__URL="$origin" GHMESH_CACHE__DIR="$dir/data" \
  GHMESH_GATEWAY__SOCKET="$dir/ghmesh.sock" GHMESH_GATEWAY__LISTEN="127.0.0.1:$ghmesh_port" GHMESH_CACHE__DEFAULT_TTL=1h \
  GHMESH_MESH__ENABLED=false GHMESH_LOG__LEVEL=warn "$target/ghmesh" up 2>"$dir/ghmesh.log" &
pids+=($!)
ghmesh_pid=$!

# Workers run as whoever starts this, for the directory is nobody else's. The agent is not curl's, for which GitHub
# (and its double) would write another body.
cat >"$dir/nginx.conf" <<CONF
user $(id -un) $(id -gn); daemon off; worker_processes $(nproc); pid $dir/nginx.pid; error_log $dir/nginx-error.log;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; open_file_cache max=1000 inactive=1h;
  proxy_cache_path $dir/cache keys_zone=one:10m;
  client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
  server {
    listen 127.0.0.1:$nginx_port reuseport;
    location / {
      proxy_pass $origin; proxy_cache one; proxy_cache_key "\$uri\$http_authorization"; proxy_cache_valid 200 1h;
      proxy_ignore_headers Cache-Control Expires Vary Set-Cookie; proxy_buffering on; proxy_set_header User-Agent nginx;
      add_header X-Cache \$upstream_cache_status;
    }
  }
}
CONF
nginx -p "$dir" -c "$dir/nginx.conf" 2>"$dir/nginx.log" &
pids+=($!)
nginx_pid=$!

token='Authorization: token ghp_alice0000000000000000000000000000000'
# As gh asks over the socket: a caller that names the daemon itself gets its URLs rewritten, which nginx does not do.
host='Host: api.github.com'
path=/repos/octo/hello
ask() { curl -sf --max-time 5 -D "$dir/head-$1" -o "$dir/body-$1" -H "$token" -H "$host" "http://127.0.0.1:$1$path"; }
for port in "$ghmesh_port" "$nginx_port"; do
  within_ten_seconds "an answer from port $port" ask "$port"
  ask "$port"
done
cmp "$dir/body-$ghmesh_port" "$dir/body-$nginx_port"
grep -qi '^cache-status: ghmesh; hit' "$dir/head-$ghmesh_port"
grep -qi '^x-cache: HIT' "$dir/head-$nginx_port"

cpu_ticks() { # pid -> of the process and its children, user and system
  local pid total=0
  for pid in "$1" $(pgrep -P "$1"); do
    total=$((total + $(cut -d')' -f2 "/proc/$pid/stat" | awk '{ print $12 + $13 }')))
  done
  echo "$total"
}
measure() { # port, pid -> "requests/s p99-in-ms CPU-microseconds-a-request"
  local before
  before=$(cpu_ticks "$2")
  wrk -t1 -c"$connections" -d"${seconds}s" --latency -H "$token" -H "$host" "http://127.0.0.1:$1$path" >"$dir/wrk"
  if grep -Eq 'Non-2xx|Socket errors' "$dir/wrk"; then cat "$dir/wrk" >&2; exit 1; fi
  awk -v seconds="$(($(cpu_ticks "$2") - before))e6" -v per_second="$(getconf CLK_TCK)" '
       /99%/ { v = $2; if (v ~ /us$/) v = v / 1000; else if (v ~ /ms$/) v += 0; else v *= 1000; p = v }
       /requests in/ { n = $1 } /Requests\/sec/ { r = $2 }
       END { printf "%.0f %.2f %.2f\n", r, p, seconds / per_second / n }' "$dir/wrk"
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

measure "$ghmesh_port" "$ghmesh_pid" >/dev/null
measure "$nginx_port" "$nginx_pid" >/dev/null
for _ in $(seq "$rounds"); do
  measure "$ghmesh_port" "$ghmesh_pid" >>"$dir/ghmesh"
  measure "$nginx_port" "$nginx_pid" >>"$dir/nginx"
done
column() { cut -d' ' -f"$2" "$dir/$1" | median; }
for name in ghmesh nginx; do
  echo "$name: median of $rounds rounds: $(column $name 1) requests/s, p99 $(column $name 2) ms, CPU $(column $name 3) us a request"
done
ratio() { paste -d' ' "$dir/ghmesh" "$dir/nginx" | awk -v a="$1" -v b="$(($1 + 3))" '{ printf "%.2f\n", $a / $b }' | median; }
echo "ghmesh / nginx, medians of the rounds' ratios: throughput $(ratio 1), p99 $(ratio 2), CPU a request $(ratio 3)"
rss=$(awk '/VmRSS/ { print $2 }' "/proc/$ghmesh_pid/status")
echo "ghmesh resident memory after the load: $((rss / 1024)) MB"
