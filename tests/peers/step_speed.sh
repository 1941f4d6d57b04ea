#!/bin/sh
# Training steps a second: our kernels, burn's and PyTorch's, one process after the other in each of ROUNDS rounds. The
# best of all rounds counts, by the clock and by CPU time (the latter says more on a busy machine). Needs python3 with
# torch (PYTHON names it; else an environment is made, some gigabytes) and a release build. `torch VERSION` is PyTorch as
# it comes, `last` on channels-last memory, `bf16` under autocast on it; none of them compiled.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$(dirname -- "$here")")
target=${CARGO_TARGET_DIR:-$root/target}
rounds=${ROUNDS:-3}
steps=${STEPS:-4}
threads=${RAYON_NUM_THREADS:-$(nproc)}
python=${PYTHON:-}
if [ -z "$python" ]; then
    python=$target/peers/torch/bin/python
    [ -x "$python" ] || python3 -m venv "$target/peers/torch"
    "$python" -m pip install --quiet torch==2.9.0 numpy
fi
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
ours() { # NETWORK BATCH KERNELS
    "$target/release/limen-train" bench-step --network "$1" --batch "$2" --steps "$steps" --kernels "$3" 2>/dev/null |
        awk -v net="$1" -v batch="$2" -v kind="$3" '
            /images\/s/ { for (i = 1; i <= NF; i++) { if ($i ~ /^images\/s/) wall = $(i - 1); if ($i == "per") cpu = $(i - 2) } }
            /peak memory/ { printf "%s %s %s %.3f %.3f %s\n", net, batch, kind, batch / wall, batch / cpu, $3 }'
}
for round in $(seq "$rounds"); do
    for case in ${CASES:-sphereface-4:64 sphereface-20:32 half10:64}; do
        net=${case%:*}
        batch=${case#*:}
        ours "$net" "$batch" ours
        "$python" "$here/step_speed_torch.py" "$net" "$batch" "$steps" "$threads"
        "$python" "$here/step_speed_torch.py" "$net" "$batch" "$steps" "$threads" last
        "$python" "$here/step_speed_torch.py" "$net" "$batch" "$steps" "$threads" bf16
        ours "$net" "$batch" burn
    done
done | tee "$lines" >&2
# Of each network and kind the best seconds a step, CPU seconds a step and the highest memory; ratios to PyTorch in f32.
awk '
    { peak = $NF; cpu = $(NF - 1); wall = $(NF - 2); kind = $3; for (i = 4; i < NF - 2; i++) kind = kind " " $i
      key = $1 SUBSEP $2 SUBSEP kind
      if (!(key in best)) { order[++n] = key; best[key] = wall; least[key] = cpu }
      if (wall < best[key]) best[key] = wall
      if (cpu < least[key]) least[key] = cpu
      if (peak > most[key]) most[key] = peak
      if (kind ~ /^torch [0-9.]+$/) torch[$1] = key }
    END {
      printf "%-14s %5s %-18s %9s %6s %12s %6s %9s\n", "network", "batch", "kernels", "images/s", "ratio", "per CPU s", "ratio", "peak MiB"
      for (i = 1; i <= n; i++) { key = order[i]; split(key, k, SUBSEP); t = torch[k[1]]
        printf "%-14s %5s %-18s %9.1f %6.2f %12.1f %6.2f %9d\n", k[1], k[2], k[3], k[2] / best[key], best[t] / best[key],
          k[2] / least[key], least[t] / least[key], most[key] } }' "$lines"
