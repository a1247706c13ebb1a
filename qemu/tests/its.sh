#!/bin/sh
# With an ITS, message-signalled interrupts (LPIs) reach every CPU of Linux: under Bulkhead, after hotplug, after a cell.
# run: --module virtio_blk --qemu-arg=-blockdev --qemu-arg=null-co,node-name=d,size=67108864,read-zeroes=on --qemu-arg=-device --qemu-arg=virtio-blk-pci,drive=d,num-queues=4
# run: --kernel 6.1 --module virtio_pci --module virtio_blk --qemu-arg=-blockdev --qemu-arg=null-co,node-name=d,size=67108864,read-zeroes=on --qemu-arg=-device --qemu-arg=virtio-blk-pci,drive=d,num-queues=4
# uart1-not: WRONG
. /usr/lib/scenario.sh
modprobe -q virtio_pci || true # built in
modprobe virtio_blk
wait_for 10 [ -b /dev/vda ]
dmesg | grep 'ITS@' || fail "there is no ITS"

# lpis COLUMN: interrupts of the disk's queues on that CPU (the column counts online ones).
lpis() {
    awk -v column="$1" '/ITS.*virtio0-req|ITS.*virtio[0-9]*-req/ { n += $(column + 2) } END { print n + 0 }' /proc/interrupts
}

# disk CPU...: each can use it, and takes its interrupts where it may.
disk() {
    local cpu before all
    all=$(cat /proc/interrupts)
    for cpu in "$@"; do
        before=$(lpis "$cpu")
        echo 3 > /proc/sys/vm/drop_caches
        timeout 20 taskset -c "$cpu" dd if=/dev/vda of=/dev/null bs=64k count=64 2> /dev/null ||
            fail "CPU $cpu cannot read the disk: $all $(cat /proc/interrupts)"
        [ "$(lpis "$cpu")" -gt "$before" ] || fail "no interrupt of the disk on CPU $cpu: $(cat /proc/interrupts)"
    done
}

disk 0 1 2 3
run_rtos
disk 0 1 2
for round in 1 2 3; do
    echo "round $round"
    for cpu in 1 2; do
        echo 0 > /sys/devices/system/cpu/cpu$cpu/online
        echo 1 > /sys/devices/system/cpu/cpu$cpu/online
    done
    disk 0 1 2
    bulkhead cell destroy rtos > /dev/null
    online 0-3
    disk 0 1 2 3
    run_rtos
    disk 0 1 2
done
bulkhead cell destroy rtos
bulkhead disable
online 0-3
disk 0 1 2 3
bulkhead enable
disk 0 1 2 3
run_rtos
