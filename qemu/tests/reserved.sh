#!/bin/sh
# Reserved memory may lie anywhere: EL2 changes no block of its own map that it runs on.
# run: --no-enable --overlay qemu/tests/overlays/unaligned-reserve.dtso
. /usr/lib/scenario.sh
modprobe bulkhead
bulkhead enable --hv-memory 4M
run_rtos
bulkhead cell destroy rtos
bulkhead disable
bulkhead enable
online 0-3
