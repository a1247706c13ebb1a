#!/bin/sh
# Each instruction of enable and disable at EL2, on one CPU.
. /usr/lib/scenario.sh
modprobe bulkhead
qemu-log on enable instructions
bulkhead enable > /dev/null
qemu-log off
qemu-log on disable instructions
bulkhead disable > /dev/null
qemu-log off
