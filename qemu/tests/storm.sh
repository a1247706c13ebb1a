#!/bin/sh
# Sixteen interrupts at once, SGIs and SPIs, are served in the order of their priorities, one within the other, whatever
# masks them and however they are ended.
# uart1: ^storm: done, 12 right, 0 wrong$
# uart1-not: WRONG
. /usr/lib/scenario.sh

# Sixteen SPIs from INTID 48 on: places of virtio that hold no device.
devices='"serial1"'
for place in $(seq 0 15); do
    devices="$devices, \"/virtio_mmio@$(printf %x $((0xa000000 + 0x200 * place)))\""
done
cell /tmp/storm.dts storm "devices = $devices; console = \"serial1\"; bootargs = \"sgi spis=48\";"
create /tmp/storm.dts
bulkhead cell load storm $inmates/storm.elf > /dev/null
bulkhead cell start storm > /dev/null
uart1-wait 60 '^storm: done'
bulkhead cell destroy storm
online 0-3
bulkhead disable
