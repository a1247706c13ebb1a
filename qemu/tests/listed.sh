#!/bin/sh
# Cells that get their interrupts by list registers: they run, stop, start again, and go, one beside a cell with direct delivery.
# run:
# run: --machine virt-v2
# run: --machine raspi4b --timeout 240
. /usr/lib/scenario.sh
last=$(($(nproc) - 1))

sed 's/^};/\tinterrupts = "listed";\n&/' $cells/rtos.dts > /tmp/rtos.dts
create /tmp/rtos.dts
says 'interrupts: 1, listed delivery' bulkhead cell show rtos
bulkhead cell load rtos $inmates/rtos.elf > /dev/null
for round in 1 2 3; do
    bulkhead cell start rtos > /dev/null
    rtos_reports
    bulkhead cell stop rtos > /dev/null
done
is "the state after round $round" "$(state rtos)" stopped
bulkhead cell destroy rtos > /dev/null
online "0-$last"
