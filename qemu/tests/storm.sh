#!/bin/sh
# Sixteen interrupts at once, SGIs and SPIs, are served in the order of their priorities, one within the other, whatever
# masks them and however they are ended, with direct delivery and with listed.
# run:
# run: --machine virt-v2
# uart1-not: WRONG
. /usr/lib/scenario.sh

# Sixteen SPIs from INTID 48 on: places of virtio that hold no device.
devices='"serial1"'
for place in $(seq 0 15); do
    devices="$devices, \"/virtio_mmio@$(printf %x $((0xa000000 + 0x200 * place)))\""
done
for delivery in direct listed; do
    echo "$delivery delivery"
    cell /tmp/storm.dts storm "devices = $devices; console = \"serial1\"; bootargs = \"sgi spis=48\"; interrupts = \"$delivery\";"
    create /tmp/storm.dts
    says "$delivery delivery" bulkhead cell show storm
    bulkhead cell load storm $inmates/storm.elf > /dev/null
    bulkhead cell start storm > /dev/null
    uart1-wait 60 '^storm: done, 12 right, 0 wrong'
    bulkhead cell destroy storm > /dev/null
done
online 0-3
bulkhead disable
