#!/bin/bash
# $title
# Written by `make slurm`. To submit it by hand:  sbatch $path STAGE     (STAGE: stage1 or stage2)
$sbatch
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@$notice

stage=$$1
cd $root

# --- the site: modules, containers (SITE=) ---------------------------------------------------------------------------
$site

# --- the run: each start of the job uses the same folder, and so continues the run -----------------------------------
run=$run
export SRUN_CPUS_PER_TASK="$${SLURM_CPUS_PER_TASK:-1}"
export OMP_NUM_THREADS="$$SRUN_CPUS_PER_TASK"
export PYTHONUNBUFFERED=1
all="srun --kill-on-bad-exit=1 $${CONTAINER:-}"                # the Trainer's commands: one process per task
one="srun --nodes=1 --ntasks=1 --ntasks-per-node=1 $${CONTAINER:-}"  # commands of a single process

# --- before the time limit: the processes save a checkpoint and stop, and the job is queued again --------------------
stop=
trap 'stop=1; scancel --signal=USR1 "$$SLURM_JOB_ID"' USR1

make "$$stage" RUN="$$run" $variables RUN_ALL="$$all" RUN_ONE="$$one" ARGS="$args" &
wait $$!; code=$$?
while kill -0 $$! 2>/dev/null; do wait $$!; code=$$?; done

# If the job is preempted, Slurm signals its steps (SIGTERM) but not this script.
if scontrol show job "$$SLURM_JOB_ID" | grep -Eq 'PreemptTime=[0-9]'; then stop=1; fi
if [ -n "$$stop" ] && [ "$$code" -ne 0 ] && [ "$${SLURM_RESTART_COUNT:-0}" -lt $restarts ]; then
  echo "stopped by a signal; the job is queued again and will continue from its last checkpoint"
  scontrol requeue "$$SLURM_JOB_ID"
  sleep 60
fi
exit "$$code"
