#!/bin/sh
# The least memory, in pages, that enables on all CPUs and takes the RTOS cell (`least PAGES`). Less must be refused by
# name, with no harm done.
. /usr/lib/scenario.sh

# by_name WHAT: the last refusal says that memory was too little, and how much there should be.
by_name() {
    grep -qE 'the hypervisor was given .* it needs |the hypervisor needs [0-9]+ pages more' /tmp/answer ||
        fail "$1: $(cat /tmp/answer)"
}

# fits PAGES
fits() {
    if ! bulkhead enable --hv-memory $(($1 * 4096)) > /tmp/answer 2>&1; then
        by_name "enable with $1 pages"
        return 1
    fi
    if ! bulkhead cell create $cells/rtos.dts > /tmp/answer 2>&1; then
        by_name "create with $1 pages"
        bulkhead disable > /dev/null || fail "disable with $1 pages"
        return 1
    fi
    { bulkhead cell destroy rtos && bulkhead disable; } > /dev/null || fail "undo with $1 pages"
}

modprobe bulkhead
too_few=0
enough=1024
fits $enough || fail "$enough pages are not enough: $(cat /tmp/answer)"
while [ $((enough - too_few)) -gt 1 ]; do
    pages=$(((too_few + enough) / 2))
    if fits $pages; then enough=$pages; else too_few=$pages; fi
done

bulkhead enable --hv-memory $((enough * 4096)) > /dev/null
run_rtos
bulkhead cell destroy rtos > /dev/null
bulkhead disable > /dev/null
online 0-3
if dmesg | grep -E 'WARNING:|BUG:|Oops|Call trace'; then fail "Linux complains"; fi
echo "least $enough"
