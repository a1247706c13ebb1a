#!/bin/sh
# The harness itself: both kernels start at EL2 with all their CPUs, and everything that scenarios rely on is there.
# run: --no-enable --kernel 6.1
# run: --no-enable --kernel 6.12
# run: --no-enable --cpus 2 --memory 512M --kvm
# uart1: ^a line for the cell's UART$
set -e
dmesg | grep 'All CPU(s) started at EL2'
[ "$(nproc)" = "$(grep -c ^processor /proc/cpuinfo)" ]
[ "$(cat /sys/devices/system/cpu/online)" = "0-$(($(nproc) - 1))" ]
[ -d /sys/kernel/debug/irq ] || [ -d /sys/kernel/debug/sched ]
dtc -I fs -O dtb -o /tmp/live.dtb -q /proc/device-tree
[ -s /sys/firmware/fdt ]

# A kernel message in the midst of a script's line stays out of it.
printf 'one '; echo "harness: a kernel message" > /dev/kmsg; echo line

echo "a line for the cell's UART" > /dev/ttyAMA1
uart1-wait 5 "^a line for"
