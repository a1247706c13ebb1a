#!/bin/sh
# A CPU that Linux left with firmware at enable comes under us later, as Linux's (with SVE) or as a cell's.
# run: --no-enable --cpu max --append "kvm-arm.mode=nvhe kvm-arm.mode=none maxcpus=3"
. /usr/lib/scenario.sh
is "CPUs at boot" "$(cat /sys/devices/system/cpu/online)" 0-2
modprobe bulkhead
bulkhead enable
cell /tmp/late.dts late 'cpus = "/cpus/cpu@3";' 'devices = "serial1", "/timer";' 'console = "serial1";' \
    'memory = <0 0x1000000>;'
create /tmp/late.dts
bulkhead cell load late $inmates/rtos.elf
bulkhead cell start late
rtos_reports
online 0-2
bulkhead cell destroy late
echo 1 > /sys/devices/system/cpu/cpu3/online
online 0-3
echo 0 > /sys/devices/system/cpu/cpu3/online
bulkhead disable
online 0-2
echo 1 > /sys/devices/system/cpu/cpu3/online
online 0-3
