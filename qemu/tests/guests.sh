#!/bin/sh
# Guests of other makes: Debian's U-Boot, unchanged, from the generated tree; and one that is linked to a fixed address, reads
# nothing and wants no tree, to which no byte of memory is lost.
# run: --put target/userland/root/usr/lib/u-boot/qemu_arm64/u-boot.bin:/root/u-boot.bin
# uart1-not: ^W$
. /usr/lib/scenario.sh

# A program for 0x50000000: prints N when x0 is 0 and its 64 KiB hold nothing but itself, else W, then turns the cell off.
#     mov x9, #0x09040000;  mov w10, #'W';  cbnz x0, 2f;  adr x1, end;  mov x2, #0x50000000;  add x2, x2, #0x10, lsl #12
#  1: ldr x3, [x1], #8;  cbnz x3, 2f;  cmp x1, x2;  b.lo 1b;  mov w10, #'N'
#  2: str w10, [x9];  mov w10, #'\n';  str w10, [x9];  mov w0, #0x84000000;  add w0, w0, #8;  hvc #0;  nop;  end:
{
    printf '\211\040\241\322\352\012\200\122\040\001\000\265\341\001\000\020\002\000\252\322\102\100\100\221'
    printf '\043\204\100\370\203\000\000\265\077\000\002\353\243\377\377\124\312\011\200\122'
    printf '\052\001\000\271\112\001\200\122\052\001\000\271\000\200\260\122\000\040\000\021\002\000\000\324\037\040\003\325'
} > /tmp/fixed.bin

echo "no tree for a guest that wants none"
cell /tmp/fixed.dts fixed 'memory = <0 0x50000000 0 0x10000>; devices = "serial1"; device-tree = "none";'
says "the cell's own device tree: none" bulkhead config check /tmp/fixed.dts
refused 3 "property 'device-tree': it is \"none\": there is no tree to be written" \
    bulkhead config dtb /tmp/fixed.dts -o /tmp/fixed.dtb
create /tmp/fixed.dts
refused 1 "an initial RAM disk needs the device tree to say where it lies" \
    bulkhead cell load fixed /tmp/fixed.bin --initrd /tmp/fixed.bin
says "entry 0x50000000, no device tree" bulkhead cell load fixed /tmp/fixed.bin
for round in 1 2; do
    bulkhead cell start fixed
    uart1-wait 20 '^N$'
    wait_for 10 is_state fixed stopped
done
is "rounds" $round 2
bulkhead cell destroy fixed

echo "U-Boot, which looks for the tree at the start of its RAM and is linked to addresses of QEMU's own"
create $cells/u-boot.dts
says "device tree at 0x40000000" bulkhead cell load u-boot /root/u-boot.bin --address 0x40400000
bulkhead cell start u-boot
uart1-wait 60 '^U-Boot [0-9]'
uart1-wait 20 '^DRAM: *32 MiB'
uart1-wait 20 '^Model: u-boot|^In: *pl011@9040000'
uart1-type
uart1-type 'fdt addr $fdtcontroladdr && fdt print /chosen'
uart1-wait 30 'stdout-path = "/pl011@9040000"'
uart1-type 'reset'
uart1-wait 60 '^U-Boot [0-9]'
is "started anew" "$(bulkhead cell show u-boot | grep -c 'last end: by SYSTEM_RESET; started anew 1 time')" 1
bulkhead cell stop u-boot
bulkhead cell destroy u-boot
online 0-3
