#!/bin/sh
# More CPUs than a cluster has: their affinities have an Aff1, and interrupts cross from one cluster to the other.
# run: --cpus 17 --timeout 240
# uart1: ^smp: 3 CPUs: all right$
# uart1-not: WRONG
. /usr/lib/scenario.sh
cell /tmp/smp.dts smp 'cpus = "/cpus/cpu@16", "/cpus/cpu@15", "/cpus/cpu@14";' 'devices = "serial1"; console = "serial1";'
create /tmp/smp.dts
bulkhead map | grep -E 'cpu@16 +0x100 +smp'
bulkhead cell load smp $inmates/smp.elf > /dev/null
bulkhead cell start smp > /dev/null
uart1-wait 120 '^smp: 3 CPUs: all right'
online 0-13
bulkhead cell destroy smp
online 0-16
bulkhead disable
online 0-16
