# Sourced by the scripts here: the release build's programs (PROFILE=debug: the debug build's, for what is not measured), a
# directory and processes that end with the script, and a simulated GitHub on loopback. Sets target, dir, pids, origin.

target=${CARGO_TARGET_DIR:-target}/${PROFILE:-release}
dir=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap finish EXIT

for program in "$target/ghmesh" "$target/github-sim"; do
  [ -x "$program" ] || { echo "$program is missing; cargo build --release --bins -p ghmesh -p ghmesh-github-sim" >&2; exit 1; }
done

within_ten_seconds() { # what, command...
  local what=$1
  shift
  for _ in $(seq 1000); do
    if "$@"; then return; fi
    sleep 0.01
  done
  echo "not within ten seconds: $what" >&2
  tail -n 5 "$dir"/*.log >&2
  exit 1
}

"$target/github-sim" --listen 127.0.0.1:0 >"$dir/sim.log" &
pids+=($!)
within_ten_seconds "the origin listens" grep -q 'listening on' "$dir/sim.log"
origin=$(grep -o 'http://[0-9.:]*' "$dir/sim.log" | head -n 1)
