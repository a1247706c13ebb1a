#!/bin/sh
# While a cell of CPU 3 is created, loaded, started, stopped and destroyed from CPU 0, with 64 KiB and with 256 MiB, Linux's CPUs 1 and 2 go on
# with their work: they enter EL2 to send their SGIs and, at most, to retry an access to what is being remapped.
# run: --overlay qemu/tests/overlays/reserve-320m.dtso --timeout 240
. /usr/lib/scenario.sh

# exits: of CPUs 1 and 2, by cause, but to send SGIs.
exits() {
    bulkhead cell stats root | awk '
        NR == 1 { for (i = 4; i <= NF; i++) name[i] = $i }
        NR > 1 && ($1 == 1 || $1 == 2) { for (i = 4; i <= NF; i++) if (name[i] != "SGI" && name[i] != "RETRY") print "CPU " $1 ": " name[i] " " $i }'
}

# count CAUSE: of both.
count() {
    bulkhead cell stats root | awk -v cause="$1" '
        NR == 1 { for (i = 4; i <= NF; i++) if ($i == cause) at = i }
        $1 == 1 || $1 == 2 { sum += $at }
        END { print sum }'
}

runs() {
    cat /tmp/runs.1 /tmp/runs.2 | wc -l
}

# window NAME COMMAND...
window() {
    local name="$1" sent retried done_before
    shift
    exits > /tmp/before
    sent=$(count SGI) retried=$(count RETRY) done_before=$(runs)
    taskset 1 "$@" > /tmp/window.out 2>&1 || fail "$*: $(cat /tmp/window.out)"
    exits > /tmp/after
    echo "$name: $(($(count SGI) - sent)) SGIs sent, $(($(count RETRY) - retried)) accesses retried, $(($(runs) - done_before)) rounds of work"
    diff /tmp/before /tmp/after > /tmp/more || fail "$name: other exits: $(grep '^[-+][^-+]' /tmp/more)"
    worked=$((worked + $(runs) - done_before))
}

# Forks, and looks at a device: its page is beside the one that comes and goes.
cat > /tmp/work << 'END'
while :; do
    busybox devmem 0x9020000 32 > /dev/null
    echo >> /tmp/runs.$1
done
END
worked=0
for cpu in 1 2; do
    : > /tmp/runs.$cpu
    taskset $((1 << cpu)) sh /tmp/work $cpu &
    workers="$workers $!"
done
taskset -p 1 $$ > /dev/null
printf '\x7f\x20\x03\xd5\xff\xff\xff\x17' > /tmp/wfi.bin
for size in 64k:0x10000 256m:0x10000000; do
    cell /tmp/cell.dts cell "cpus = \"/cpus/cpu@3\"; memory = <0 ${size#*:}>; devices = \"serial1\"; device-tree = \"none\";"
    window "create, ${size%:*}" bulkhead cell create /tmp/cell.dts
    window "load, ${size%:*}" bulkhead cell load cell /tmp/wfi.bin
    window "start, ${size%:*}" bulkhead cell start cell
    window "stop, ${size%:*}" bulkhead cell stop cell
    window "destroy, ${size%:*}" bulkhead cell destroy cell
done
# shellcheck disable=SC2086
kill $workers
[ $worked -gt 0 ] || fail "CPUs 1 and 2 did nothing meanwhile"
online 0-3
bulkhead disable
