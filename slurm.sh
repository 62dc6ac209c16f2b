#!/bin/bash
# A study on a Slurm cluster: a Dask scheduler, one worker per GPU, and run_all.py, which sends them the notebooks.
#   sbatch slurm.sh paper --data DIR --metadata FILE --weights DIR
#   sbatch --nodes=4 --gpus-per-node=2 --ntasks-per-node=2 slurm.sh paper ...   as many tasks as GPUs
# Submit it in the repository, on a file system that all nodes see. The same line continues a job that ran out of time.
# While it runs, more workers may join: srun ... .venv/bin/dask worker --scheduler-file results/slurm-JOB/scheduler.json
# (with the variables of results/slurm-JOB/tls.env), and any may leave: their notebooks are then executed elsewhere.
#SBATCH --job-name=skincas
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --mem-per-cpu=4G
#SBATCH --time=24:00:00
#SBATCH --output=results/slurm-%j.log
set -euo pipefail

bin=${VIRTUAL_ENV:-$PWD/.venv}/bin
job=$PWD/results/slurm-${SLURM_JOB_ID:?start this with sbatch}
mkdir -p "$job"
chmod 700 "$job"

# A Dask scheduler runs the code of every client, so it accepts only those that can read this folder.
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=skincas -keyout "$job/key.pem" -out "$job/cert.pem" 2>/dev/null
{
  echo "export DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=True"
  echo "export DASK_DISTRIBUTED__WORKER__USE_FILE_LOCKING=False" # a cluster's file system may have no locks
  echo "export DASK_DISTRIBUTED__COMM__TLS__CA_FILE='$job/cert.pem'"
  for role in SCHEDULER WORKER CLIENT; do
    echo "export DASK_DISTRIBUTED__COMM__TLS__${role}__CERT='$job/cert.pem'"
    echo "export DASK_DISTRIBUTED__COMM__TLS__${role}__KEY='$job/key.pem'"
  done
} >"$job/tls.env"
# shellcheck source=/dev/null
. "$job/tls.env"

# SKINCAS_INTERFACE=ib0 sbatch ...: over this network interface
net=(--no-dashboard ${SKINCAS_INTERFACE:+--interface "$SKINCAS_INTERFACE"})
"$bin/dask" scheduler --protocol tls --port 0 "${net[@]}" --scheduler-file "$job/scheduler.json" 2>"$job/scheduler.log" &
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$job"/*.pem "$job/scratch"' EXIT
until [ -s "$job/scheduler.json" ]; do sleep 1; done

# one task a GPU: Slurm shows each its own; in a folder that is ours alone, where others can put no links
srun --kill-on-bad-exit=0 "$bin/dask" worker --scheduler-file "$job/scheduler.json" --nthreads 1 "${net[@]}" \
  --death-timeout 300 --local-directory "$job/scratch" >"$job/workers.log" 2>&1 &

address=$("$bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' "$job/scheduler.json")
"$bin/python" run_all.py "$@" --yes --scheduler "$address"
