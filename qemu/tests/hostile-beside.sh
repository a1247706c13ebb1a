#!/bin/sh
# The cell of `hostile`, through all its lives, beside an RTOS and Linux's own work on CPU 0: before, meanwhile and after. Time is counted by
# instructions, so that no other load on the machine counts: the RTOS runs in every period of its tasks and misses no deadline, its CPU
# does not enter EL2 once, CPU 0 only to send SGIs (and to look for heartbeats), and its work comes to the same.
# run: --timeout 600 --icount
# uart1-not: WRONG|panicked
. /usr/lib/scenario.sh

# report: the RTOS's next one.
report() {
    uart1-wait -n 300 '^rtos: [0-9]+ s: .* fp sum .* right'
}

# exits CELL CPU: but those that send SGIs, and hypercalls: Linux's watch over heartbeats makes them wherever it wakes.
exits() {
    bulkhead cell stats "$1" | awk -v cpu="$2" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
        NR > 1 && $1 == cpu { print $3 - $(at["SGI"]) - $(at["HVC"]) }'
}

# Linux's work, always the same: forks, files and sums, and then their sum.
cat > /tmp/work << 'END'
count=0
while [ $count -lt 20 ]; do
    /bin/true
    count=$((count + 1))
done
dd if=/bin/busybox of=/tmp/copy bs=4k count=100 2> /dev/null
md5sum < /tmp/copy
END

# works: on CPU 0 until `stops`, one round after the other, most of its time idle.
works() {
    rm -f /tmp/stop
    until [ -e /tmp/stop ]; do
        taskset 1 sh /tmp/work
        usleep 50000
    done > /tmp/sums &
    worker=$!
}
trap 'touch /tmp/stop' EXIT

# stops WHEN: it has, and every round's sum was right.
stops() {
    touch /tmp/stop
    wait $worker
    echo "$1: CPU 0 did its work $(wc -l < /tmp/sums) times"
    is "results of the work $1" "$(sort -u /tmp/sums)" "$right"
}

# window WHEN COMMAND...: what CPU 0 and the RTOS's CPU enter EL2 for while the command runs.
window() {
    local when="$1" rtos_before root_before
    shift
    works
    rtos_before=$(exits rtos 3) root_before=$(exits root 0)
    "$@"
    is "exits of the RTOS $when" "$(exits rtos 3)" "$rtos_before"
    is "exits of CPU 0 $when" "$(exits root 0)" "$root_before"
    stops "$when"
}

# deadlines WHEN: every period of the RTOS's 100 Hz and 10 Hz tasks was run, since it began, none too late.
deadlines() {
    report > /tmp/report
    echo "$1: $(cat /tmp/report)"
    sed 's/rtos: \([0-9]*\) s: .* Hz: \([0-9]*\) runs.* us, \([0-9]*\) missed; .* Hz: \([0-9]*\) runs.* us, \([0-9]*\) missed; .*/\1 \2 \3 \4 \5/' /tmp/report |
        awk '{ exit !(NF == 5 && $1 > 0 && $2 == 100 * $1 && $3 == 0 && $4 == 10 * $1 && $5 == 0) }' || fail "$1: a deadline was missed"
}

# live: follows the cell through all its lives. It turns itself off when nothing was wrong, and fails for ever when something was.
live() {
    local ended=0
    bulkhead cell start hostile > /dev/null
    while :; do
        case "$(bulkhead cell show hostile)" in
            "hostile: stopped"*) break ;;
            "hostile: failed"*)
                ended=$((ended + 1))
                [ $ended -lt 60 ] || fail "not refused: $(bulkhead console hostile --once | grep WRONG)"
                bulkhead cell start hostile > /dev/null 2>&1
                ;;
        esac
        usleep 2000 # Not long: to QEMU a CPU that waits at EL2 is no idle one, and its time then passes slowly.
    done
    says 'last end: by SYSTEM_OFF' bulkhead cell show hostile
    says '^hostile: [0-9]{3} attempts in [0-9]+ lives: 0 not right' bulkhead console hostile --once
    bulkhead console hostile --once | tail -n 1
}

# Linux's work is on CPU 0, this script on CPU 1.
taskset -p 2 $$ > /dev/null
run_rtos
right=$(taskset 1 sh /tmp/work)
window before report
deadlines before

foreign=$(printf '%#x' "$(field hv_base)")
cell /tmp/hostile.dts hostile 'cpus = "/cpus/cpu@2";' "bootargs = \"attempts=$foreign\";" 'console = "ring";' \
    'heartbeat-ms = <50>; on-stall = "restart";'
# Making a cell is not its doing: only its lives are.
create /tmp/hostile.dts
bulkhead cell load hostile $inmates/hostile.elf > /dev/null
window meanwhile live
is "faults of the hypervisor" "$(bulkhead status --json | grep '"panic"' | tr -d ' ,')" '"panic":null'
bulkhead cell destroy hostile > /dev/null
deadlines meanwhile
window after report
deadlines after
is "the RTOS" "$(state rtos)" running
bulkhead cell destroy rtos > /dev/null
online 0-3
bulkhead disable
