#!/bin/sh
# Cells that promise to beat: one that does is left alone and pays nothing; one that falls silent is reported, however it
# did, and started anew if its file says so; its neighbour takes no notice.
# run: --timeout 240
# console-not: no watch over the cells
# uart1-not: the hypervisor something else
. /usr/lib/scenario.sh

# get CELL KEY: a number or word of `cell show --json`.
get() {
    bulkhead cell show "$1" --json | sed -n "s/^ *\"$2\": \"*\([^\",]*\)\"*,*\$/\1/p" | head -1
}

# exits CELL [CAUSE]: of its CPUs, since enable.
exits() {
    bulkhead cell stats "$1" --json | sed -n "s/.*\"${2:-total}\": \([0-9]*\).*/\1/p" | awk '{ sum += $1 } END { print sum }'
}

is_stalled() {
    bulkhead cell list | grep -qE "^ *[0-9]+ +$1 +running \(stalled [0-9]+ s\)"
}

# guilty WORDS PERIOD ON-STALL: a cell that obeys these words.
guilty() {
    cell /tmp/guilty.dts guilty "bootargs = \"$1\"; heartbeat-ms = <$2>; on-stall = \"$3\";"
    create /tmp/guilty.dts
    bulkhead cell load guilty $inmates/hostile.elf > /dev/null
    bulkhead cell start guilty > /dev/null
}

sed 's/console =/heartbeat-ms = <2000>; on-stall = "restart"; &/' $cells/rtos.dts > /tmp/rtos.dts
says 'heartbeat: each 2000 ms, on a stall: restart; comm page at 0x41000000' bulkhead config check /tmp/rtos.dts
create /tmp/rtos.dts
bulkhead cell load rtos $inmates/rtos.elf > /dev/null
bulkhead cell start rtos > /dev/null
rtos_reports

echo "a cell that beats pays nothing for it; root one exit a look"
rtos_before=$(exits rtos) root_before=$(exits root hvc) beats_before=$(get rtos beats)
sleep 10
looks=$(($(exits root hvc) - root_before))
is "exits of a cell that beats" "$(exits rtos)" "$rtos_before"
[ "$(get rtos beats)" -gt "$beats_before" ] || fail "no beats seen: $(bulkhead cell show rtos)"
# Ten, by the clock; a look that comes late moves all later ones.
[ "$looks" -ge 5 ] && [ "$looks" -le 12 ] || fail "$looks hypercalls of root in 10 s, with a look each 1 s"
is "the state of a cell that beats" "$(state rtos)" running

echo "reported, however it fell silent"
for how in spin vector-loop wfi cpu-off; do
    guilty "beat=5 $how" 500 report
    wait_for 20 is_stalled guilty
    is "stalled by $how" "$(get guilty stalled)" true
    is "started anew by $how" "$(get guilty restarts)" 0
    if [ $how = spin ]; then
        bulkhead cell stop guilty > /dev/null
        is "the state after a stop" "$(state guilty)" stopped
        bulkhead cell start guilty > /dev/null
        is "stalled, after a start" "$(get guilty stalled)" false
        wait_for 20 is_stalled guilty
    fi
    bulkhead cell destroy guilty > /dev/null
done
is "reports in the log" "$(bulkhead log | grep -cE 'cell (2|guilty) is stalled')" 5

echo "alive again"
guilty "beat=5 rest=4000 beat" 500 report
wait_for 20 is_stalled guilty
wait_for 20 is_state guilty running
says 'cell (2|guilty) beats again' bulkhead log
bulkhead cell destroy guilty > /dev/null

echo "started anew, and the other one left alone"
guilty "beat=5 spin" 500 restart
wait_for 30 sh -c "bulkhead cell show guilty | grep -qE 'last end: by stall; started anew [1-9][0-9]* times'"
says '^cell .guilty. is destroyed' bulkhead cell destroy guilty

echo "but not for ever without a beat"
guilty "spin" 50 restart
wait_for 60 sh -c "bulkhead cell show guilty | grep -q 'started anew 3 times'"
wait_for 20 is_stalled guilty
sleep 2
is_stalled guilty || fail "no longer stalled: $(bulkhead cell show guilty)"
is "restarts of a cell that never beats" "$(get guilty restarts)" 3
bulkhead cell stop guilty > /dev/null
is "why it ended" "$(get guilty cause)" root
bulkhead cell destroy guilty > /dev/null

is "restarts of the cell that beats" "$(get rtos restarts)" 0
rtos_reports

echo "why a cell ended, by itself"
for how in off off-smc; do
    cell /tmp/bad.dts bad "bootargs = \"$how\";"
    create /tmp/bad.dts
    bulkhead cell load bad $inmates/hostile.elf > /dev/null
    bulkhead cell start bad > /dev/null
    wait_for 10 is_state bad stopped
    is "the cause of $how" "$(get bad cause)" SYSTEM_OFF
    bulkhead cell destroy bad > /dev/null
done
for how in reset reset-smc; do
    cell /tmp/bad.dts bad "bootargs = \"$how\";"
    create /tmp/bad.dts
    bulkhead cell load bad $inmates/hostile.elf > /dev/null
    bulkhead cell start bad > /dev/null
    wait_for 10 sh -c "bulkhead cell show bad | grep -qE 'last end: by SYSTEM_RESET; started anew [1-9]'"
    bulkhead cell destroy bad > /dev/null
done

bulkhead cell destroy rtos > /dev/null
sleep 2 # The last look finds nothing to look at.
hvc=$(exits root hvc)
sleep 3
is "hypercalls of root without a cell" "$(exits root hvc)" "$hvc"
bulkhead disable
