#!/bin/sh
# EL2's instructions while a cell of CPU 3 is made, loaded, started, stopped and destroyed from CPU 0, with 64 KiB and with
# 256 MiB; CPUs 1 and 2 have work of their own.
. /usr/lib/scenario.sh

window() {
    local name="$1"
    shift
    qemu-log on "$name" instructions
    taskset -c 0 "$@" > /tmp/window.out 2>&1 || { cat /tmp/window.out; fail "$*"; }
    qemu-log off
}

# Forks, and interrupts others: it is woken on one CPU by the other.
work() {
    while :; do
        taskset -c 1 true
        taskset -c 2 cat /proc/interrupts > /dev/null
    done
}

modprobe bulkhead
bulkhead enable > /dev/null
taskset -c 1 sh -c 'while :; do /bin/true; done' &
workers=$!
taskset -c 2 sh -c 'while :; do /bin/true; done' &
workers="$workers $!"
work &
workers="$workers $!"
printf '\x7f\x20\x03\xd5\xff\xff\xff\x17' > /tmp/wfi.bin
for size in 64k:0x10000 256m:0x10000000; do
    cell /tmp/cell.dts cell "cpus = \"/cpus/cpu@3\"; memory = <0 ${size#*:}>; devices = \"serial1\"; device-tree = \"none\";"
    window "create_${size%:*}" bulkhead cell create /tmp/cell.dts
    window "load_${size%:*}" bulkhead cell load cell /tmp/wfi.bin
    window "start_${size%:*}" bulkhead cell start cell
    window "stop_${size%:*}" bulkhead cell stop cell
    window "destroy_${size%:*}" bulkhead cell destroy cell
done
# shellcheck disable=SC2086
kill $workers
echo "bystanders: done"
