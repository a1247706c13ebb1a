#!/bin/sh
# RAM above 4 GiB, on Versal in two pieces, 30 GiB apart: the hypervisor and a cell live there.
# run: --memory 6G
# run: --machine versal --memory 3G
# uart1: ^rtos: 2 s: .* right
# uart1-not: WRONG
. /usr/lib/scenario.sh
run_rtos
bulkhead status
[ "$(field hv_base)" -gt 4294967296 ] || fail "the hypervisor is at $(field hv_base)"
bulkhead cell show rtos | grep 'physically at 0x[1-9a-f][0-9a-f]\{8\}$' || fail "the cell: $(bulkhead cell show rtos)"
uart1-wait 20 '^rtos: ([2-9]|[0-9]{2,}) s: .* right'
bulkhead cell destroy rtos
bulkhead disable
online "0-$(($(nproc) - 1))"
