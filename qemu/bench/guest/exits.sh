#!/bin/sh
# Windows of QEMU's log: root's own work, the commands, and a cell's interrupts. `window NAME` says that it is whole.
. /usr/lib/scenario.sh

window() {
    local name="$1"
    shift
    qemu-log on "$name"
    "$@" > /tmp/window.out 2>&1 || { cat /tmp/window.out; fail "$*"; }
    qemu-log off
    echo "window $name"
}

unplug_plug() {
    echo 0 > /sys/devices/system/cpu/cpu2/online
    echo 1 > /sys/devices/system/cpu/cpu2/online
}

interrupts() {
    bulkhead cell start bench
    uart1-wait 60 '^bench done$'
}

window root_idle_10s sleep 10
window root_dd dd if=/dev/zero of=/dev/null bs=4k count=200000
window root_fork500 sh /root/fork500.sh
window root_unplug_plug unplug_plug
window cell_create bulkhead cell create $cells/rtos.dts
window cell_load bulkhead cell load rtos $inmates/rtos.elf
window cell_start bulkhead cell start rtos
rtos_reports
window cell_destroy bulkhead cell destroy rtos

sed 's/^};/\tbootargs = "windows";\n&/' $cells/bench.dts > /tmp/bench.dts
create /tmp/bench.dts
bulkhead cell load bench $inmates/bench.elf > /dev/null
echo "cell's CPUs: $(cat /sys/devices/system/cpu/offline)"
window interrupts interrupts
