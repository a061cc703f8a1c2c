#!/usr/bin/env bash
# A Slurm of one node on this machine, for tests: no systemd, no cgroups, no accounting. As root, with Debian's
# slurm-wlm and munge installed.
#
#   tests/host/slurm.sh start DIR    its files go into DIR; then: export SLURM_CONF=DIR/slurm.conf
#   tests/host/slurm.sh stop DIR
set -euo pipefail

folder="$(realpath -m "$2")"
host="$(hostname -s)"

start() {
    mkdir -p "$folder/state" "$folder/spool" /run/munge
    chown munge: /run/munge
    pgrep -x munged >/dev/null || su -s /bin/bash munge -c /usr/sbin/munged
    cat >"$folder/slurm.conf" <<EOF
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AuthInfo=cred_expire=5
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
    export SLURM_CONF="$folder/slurm.conf"
    slurmctld -f "$SLURM_CONF"
    slurmd -f "$SLURM_CONF"
    for _ in $(seq 30); do
        [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ] && return
        sleep 1
    done
    echo "Slurm did not start:" >&2
    tail -n 5 "$folder"/*.log >&2
    return 1
}

stop() {
    for daemon in slurmd slurmctld; do
        [ ! -f "$folder/$daemon.pid" ] || kill "$(cat "$folder/$daemon.pid")" || true
    done
}

"$1"
