#!/bin/sh
# A cell that attempts whatever it must not be able to do, in as many lives as that takes: each attempt is refused, or ends one of them.
# Beside it an RTOS misses no deadline, and Linux's own work goes on, on a CPU that leaves for EL2 only to send SGIs and to look for heartbeats. Alone it has the
# console, and says what came of each attempt.
# run: --timeout 600 --append attempts=alone
# run: --machine virt-v2 --timeout 600 --append attempts=alone
# run: --machine versal --timeout 600 --append attempts=alone
# uart1-not: WRONG|panicked
. /usr/lib/scenario.sh
foreign=$(printf '%#x' "$(field hv_base)")
# A GICv2's GICH and GICV, which its tree names behind distributor and CPU interface.
! has_gicv2 || foreign=$foreign$(hexdump -v -e '"," 8/1 "%02x"' /proc/device-tree/intc*/reg | awk -F, '{ print ",0x" $6 ",0x" $8 }')
listed=$(sed -n 's/.*delivery=listed.*/interrupts = "listed";/p' /proc/cmdline)
# The board's own console for cells.
console=$(sed -n 's/.*devices = \("[^"]*"\).*/\1/p' $cells/bad.dts)

# make PROPERTY...: makes the cell, of one CPU.
make() {
    cell /tmp/hostile.dts hostile "bootargs = \"attempts=$foreign\";" \
        "heartbeat-ms = <${heartbeat:-50}>; on-stall = \"restart\"; $listed" "$@"
    create /tmp/hostile.dts
    bulkhead cell load hostile $inmates/hostile.elf > /dev/null
}

# live: follows it through all its lives. It turns itself off when nothing was wrong, and fails for ever when something was.
live() {
    local ended=0
    bulkhead cell start hostile > /dev/null
    until is_state hostile stopped; do
        if is_state hostile failed; then
            ended=$((ended + 1))
            [ $ended -lt 100 ] || fail "something was not refused; run with --append attempts=alone, it says what: $(bulkhead cell show hostile)"
            bulkhead cell start hostile > /dev/null 2>&1
        fi
        usleep 500 # Short: a CPU that waits at EL2 is no idle one to QEMU, whose time then passes slowly.
    done
    says 'last end: by SYSTEM_OFF' bulkhead cell show hostile
    echo "$ended lives ended by a fault, $(bulkhead cell show hostile | sed -n 's/.*started anew \([0-9]*\) .*/\1/p') started anew"
    is "faults of the hypervisor" "$(bulkhead status --json | grep '"panic"' | tr -d ' ,')" '"panic":null'
}

# missed: deadlines that the RTOS has missed since it began, by task.
missed() {
    uart1-wait -n 200 '^rtos: [0-9]+ s: .* fp sum .* right' |
        sed 's/.* us, \([0-9]* missed\); .* us, \([0-9]* missed\); .*/control \1, sensor \2/'
}

# exits: of CPU 0, but those that send SGIs, and hypercalls: the watch over heartbeats makes them wherever it wakes.
exits() {
    bulkhead cell stats root | awk '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
        NR > 1 && $1 == 0 { print $3 - $(at["SGI"]) - $(at["HVC"]) }'
}

# work: forks, files and sums on CPU 0, always the same; their sum.
cat > /tmp/work << 'EOF'
count=0
while [ $count -lt 50 ]; do
    /bin/true
    count=$((count + 1))
done
dd if=/bin/busybox of=/tmp/copy bs=4k count=100 2> /dev/null
md5sum < /tmp/copy
EOF
work() {
    taskset 1 sh /tmp/work
}

# while_it_lives: works until /tmp/stop is there.
while_it_lives() {
    until [ -e /tmp/stop ]; do work; done
}

if grep -q attempts=alone /proc/cmdline; then
    heartbeat=1000 # By the host's time.
    make "devices = $console; console = $console;"
    live
    uart1-wait 10 '^hostile: [0-9]{3} attempts in [0-9]+ lives: 0 not right'
    bulkhead cell destroy hostile > /dev/null
    exit 0
fi
# Linux's work is on CPU 0, this script on CPU 1.
taskset -p 2 $$ > /dev/null
echo "beside an RTOS, and Linux's own work"
run_rtos
missed_before=$(missed) right=$(work) exits_before=$(exits)
echo "before: $missed_before"
is "the same work again" "$(work)" "$right"
is "exits of CPU 0 before" "$(exits)" "$exits_before"

# Making a cell is not its doing: only its lives are.
make
exits_before=$(exits)
while_it_lives > /tmp/sums &
live
touch /tmp/stop
wait $!
is "exits of CPU 0 meanwhile" "$(exits)" "$exits_before"
bulkhead cell destroy hostile > /dev/null
missed_meanwhile=$(missed)
echo "meanwhile: $missed_meanwhile; CPU 0 did its work $(wc -l < /tmp/sums) times"
is "deadlines missed meanwhile" "$missed_meanwhile" "$missed_before"
is "results of the work meanwhile" "$(sort -u /tmp/sums)" "$right"

exits_before=$(exits)
is "the work after it" "$(work)" "$right"
is "exits of CPU 0 after it" "$(exits)" "$exits_before"
is "deadlines missed after it" "$(missed)" "$missed_before"
is "the RTOS" "$(state rtos)" running
bulkhead cell destroy rtos > /dev/null
online 0-3
bulkhead disable
