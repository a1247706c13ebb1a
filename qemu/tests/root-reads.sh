#!/bin/sh
# Linux that touches memory or devices of a cell or of the hypervisor gets SIGBUS or an error; no harm is done.
# run: --overlay board-configs/qemu-virt/reserved-memory.dtso
# run: --kernel 6.1 --overlay board-configs/qemu-virt/reserved-memory.dtso
# run:
# uart1-not: WRONG
. /usr/lib/scenario.sh
run_rtos
# A device of a cell that no driver of Linux's holds on to: a driver's is not to be had by /dev/mem anyway.
cell /tmp/idle.dts idle 'devices = "/fw-cfg@9020000";'
create /tmp/idle.dts
rtos_memory=$(bulkhead cell show rtos | sed -n 's/.*physically at \(.*\)/\1/p')
hypervisor=$(printf '%#x' "$(field hv_base)")

# denied ADDRESS [VALUE]: reading there, or writing that, ends by SIGBUS; or Linux itself does not allow it.
sigbus=0
denied() {
    local status=0
    busybox devmem "$1" 32 ${2:+"$2"} > /tmp/devmem.out 2>&1 || status=$?
    cat /tmp/devmem.out
    echo "devmem $*: $status"
    case $status in
        135) sigbus=$((sigbus + 1)) ;;
        1) grep -q 'Operation not permitted' /tmp/devmem.out || fail "devmem $*: another error" ;;
        *) fail "devmem $*: exit status $status: $(cat /tmp/devmem.out)" ;;
    esac
}

for address in "$hypervisor" "$rtos_memory" 0x9020000; do
    for cpu in 0 1; do
        taskset -p $((1 << cpu)) $$ > /dev/null
        denied "$address"
        denied "$address" 0x12345678
    done
done
taskset -p 3 $$ > /dev/null
# The cell's UART has a driver: Linux itself does not let it be mapped.
denied 0x9040000

# A reserved `no-map` node is no RAM to Linux, which then lets it be mapped; the device always is.
if [ -e /proc/device-tree/reserved-memory ]; then
    is "accesses that EL2 has refused" $sigbus 12
else
    is "accesses that EL2 has refused" $sigbus 4
fi
bulkhead log | tail -n 20
bulkhead log | grep -iE 'root|0x0*9020000' | tail -n 1 | grep . || fail "nothing in the log"
aborts=$(bulkhead cell stats root --json | sed -n 's/.*"abort": \([0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n }')
is "refused accesses of root" "$aborts" $sigbus

online 0-1
is "the cell" "$(state rtos)" running
rtos_reports
bulkhead cell destroy idle
bulkhead cell destroy rtos
online 0-3
# What was the cell's is Linux's again.
busybox devmem 0x9020000 32
bulkhead disable
