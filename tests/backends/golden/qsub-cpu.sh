# qsub -terse -t 1-20 -tc 4 '/home/ann'"'"'s work, 1:2/study/training_data/exp3/submissions/20261120-183012-qsub-gpu-k3f9/job.sh'
#!/bin/bash
#$ -N nfk3f9183012
#$ -S /bin/bash
#$ -wd /tmp
#$ -o /dev/null
#$ -j y
#$ -r y
#$ -notify
#$ -q cpu.q
#$ -pe smp 2
#$ -l mem_free=4G,act_mem_free=4G,h_data=2G
#$ -l h_rt=12:00:00
#$ -m a
# exp3: what Grid Engine runs for every job of this submission. Written by neurofit.

submission='/home/ann'"'"'s work, 1:2/study/training_data/exp3/submissions/20261120-183012-qsub-gpu-k3f9'
study='/home/ann'"'"'s work, 1:2/study'
job=$((SGE_TASK_ID - 1))
case $job in '' | *[!0-9]*)
    echo "neurofit: this script has no job number; Grid Engine has to start it"
    exit 64 ;;
esac
export NEUROFIT_JOB_STARTED=$(date +%s)
trap '' USR1 USR2 # the queue's notice is for the worker, which listens; the shell stays
trap : TERM

number=$(printf %06d "$job")
log=$submission/logs/$number.log
worked=
finish() {
    status=$?
    if [ -z "$worked" ] && { [ "$status" = 0 ] || [ "$status" = 99 ]; }; then
        status=1 # only a worker may end well, or ask for another start
    fi
    [ "$status" != 100 ] || status=1 # would put the job into its error state
    [ -s "$log" ] || rm -f "$log"
    if [ "$status" != 0 ] && [ "$status" != 99 ]; then
        node=${SLURMD_NODENAME:-$(uname -n)}
        cd "$submission" && mkdir -p ended && : >"ended/$number.$status.${node%%.*}"
    fi
    exit "$status"
}
trap finish EXIT
cd "$submission" && rm -f ended/"$number".* && mkdir -p logs && : >>"$log" || exit 97
exec >>"$log" 2>&1
cd "$study" || exit 97

export PYTHONSAFEPATH=1
export OMP_NUM_THREADS=2
export OPENBLAS_NUM_THREADS=2
export MKL_NUM_THREADS=2
export NUMEXPR_NUM_THREADS=2
export TF_NUM_INTRAOP_THREADS=2
export TF_NUM_INTEROP_THREADS=1
export TF_CPP_MIN_LOG_LEVEL=2
export TF_FORCE_GPU_ALLOW_GROWTH=true
export TF_ENABLE_ONEDNN_OPTS=1
source /etc/profile
module load python

/usr/bin/python3 -m neurofit.worker "$submission" "$job"
status=$?
worked=yes
exit "$status"
