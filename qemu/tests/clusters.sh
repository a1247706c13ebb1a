#!/bin/sh
# CPUs of two clusters (affinities with Aff1): a cell has some of both, and its interrupts cross from one to the other. Linux has two
# CPUs at first, since an emulated machine is slow enough with its cell's; then one of the second cluster, with Linux's own interrupts.
# run: --no-enable --cpus 17 --append maxcpus=2 --timeout 240
# uart1: ^smp: 3 CPUs: all right$
# uart1-not: WRONG
. /usr/lib/scenario.sh
modprobe bulkhead
bulkhead enable > /dev/null
cell /tmp/smp.dts smp 'cpus = "/cpus/cpu@16", "/cpus/cpu@15", "/cpus/cpu@14";' 'devices = "serial1"; console = "serial1";'
create /tmp/smp.dts
says 'cpu@16 +0x100 +smp' bulkhead map
bulkhead cell load smp $inmates/smp.elf > /dev/null
bulkhead cell start smp > /dev/null
uart1-wait 120 '^smp: 3 CPUs: all right'
online 0-1
bulkhead cell destroy smp
echo 1 > /sys/devices/system/cpu/cpu16/online
online 0-1,16
bulkhead disable
online 0-1,16
