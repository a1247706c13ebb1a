#!/bin/sh
# A cell that attempts whatever it must not be able to do, in as many lives as that takes: each attempt is refused, or ends one of them.
# It has the board's console for cells, and says what came of each; `hostile-beside` has the same cell beside others.
# run: --timeout 600
# run: --machine virt-v2 --timeout 600
# run: --machine versal --timeout 600
# uart1-not: WRONG|panicked
. /usr/lib/scenario.sh
foreign=$(printf '%#x' "$(field hv_base)")
# A GICv2's GICH and GICV, which its tree names behind distributor and CPU interface.
! has_gicv2 || foreign=$foreign$(hexdump -v -e '"," 8/1 "%02x"' /proc/device-tree/intc*/reg | awk -F, '{ print ",0x" $6 ",0x" $8 }')
listed=$(sed -n 's/.*delivery=listed.*/interrupts = "listed";/p' /proc/cmdline)
# The board's own console for cells.
console=$(sed -n 's/.*devices = \("[^"]*"\).*/\1/p' $cells/bad.dts)
cell /tmp/hostile.dts hostile "bootargs = \"attempts=$foreign\";" "devices = $console; console = $console;" \
    "heartbeat-ms = <1000>; on-stall = \"restart\"; $listed"
create /tmp/hostile.dts
bulkhead cell load hostile $inmates/hostile.elf > /dev/null
bulkhead cell start hostile > /dev/null

# Through all its lives. It turns itself off when nothing was wrong, and fails for ever when something was.
ended=0
until is_state hostile stopped; do
    if is_state hostile failed; then
        ended=$((ended + 1))
        [ $ended -lt 100 ] || fail "something was not refused, the console says what: $(bulkhead cell show hostile)"
        bulkhead cell start hostile > /dev/null 2>&1
    fi
    usleep 500 # Short: a CPU that waits at EL2 is no idle one to QEMU, whose time then passes slowly.
done
says 'last end: by SYSTEM_OFF' bulkhead cell show hostile
echo "$ended lives ended by a fault, $(bulkhead cell show hostile | sed -n 's/.*started anew \([0-9]*\) .*/\1/p') started anew"
is "faults of the hypervisor" "$(bulkhead status --json | grep '"panic"' | tr -d ' ,')" '"panic":null'
uart1-wait 10 '^hostile: [0-9]{3} attempts in [0-9]+ lives: 0 not right'
bulkhead cell destroy hostile > /dev/null
