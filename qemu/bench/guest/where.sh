#!/bin/sh
# EL2's instructions in windows: commands, a few rounds of each of the bench cell's operations.
. /usr/lib/scenario.sh

window() {
    local name="$1"
    shift
    qemu-log on "$name" instructions
    "$@" > /tmp/window.out 2>&1 || { cat /tmp/window.out; fail "$*"; }
    qemu-log off
}

figures() {
    bulkhead cell start bench
    uart1-wait 100 '^bench done$'
}

modprobe bulkhead
window enable bulkhead enable
# With little memory: each word of it that is zeroed has its line.
sed 's/memory = .*/memory = <0 0x100000>;/; s/^};/\tbootargs = "figures rounds=100";\n&/' $cells/bench.dts > /tmp/bench.dts
window create bulkhead cell create /tmp/bench.dts
bulkhead cell load bench $inmates/bench.elf > /dev/null
window figures figures
window destroy bulkhead cell destroy bench
window disable bulkhead disable
