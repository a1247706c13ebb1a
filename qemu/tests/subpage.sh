#!/bin/sh
# A cell has one device of a page whose other registers stay Linux's: EL2 makes the accesses of both, each to its own.
# virtio-mmio transports are 0x200 bytes apart; the last one of the page at 0xa003000 carries this script's own output.
# run: --timeout 240
. /usr/lib/scenario.sh

# parts CELL: exits for such accesses.
parts() {
    bulkhead cell stats "$1" --json | sed -n 's/.*"part": \([0-9]*\).*/\1/p' | awk '{ sum += $1 } END { print sum }'
}

# bad WORDS: a cell with one transport obeys them.
bad() {
    sed "s/devices = .*/devices = \"serial1\", \"\/virtio_mmio@a003200\"; share-page = \"\/virtio_mmio@a003200\"; allow-dma = \"\/virtio_mmio@a003200\";/; s/bootargs = .*/bootargs = \"$1\";/" \
        $cells/bad.dts > /tmp/bad.dts
    create /tmp/bad.dts
    bulkhead cell load bad $inmates/hostile.elf > /dev/null
    bulkhead cell start bad > /dev/null
}

# Linux's own transport in that page.
ls -d /sys/bus/platform/devices/a003e00.virtio_mmio/virtio* || fail "no device of Linux in the page"
# busy: Linux uses it.
busy() {
    local n=0
    while [ $n -lt 20 ]; do
        echo "Linux goes on, $n"
        n=$((n + 1))
    done
}

echo "refused without a word about it, and said what it costs"
sed 's/devices = .*/devices = "serial1", "\/virtio_mmio@a003200";/' $cells/bad.dts > /tmp/whole.dts
refused 3 "/virtio_mmio@a003200: it shares its page at 0xa003000 with /virtio_mmio@a00[0-9a-f]*, .*'share-page', which costs exits" \
    bulkhead cell create /tmp/whole.dts

before=$(parts root)
busy
is "exits before there is such a page" "$(parts root)" "$before"

echo "its own bytes: 'virt', the version, and none of a device"
bad "read=0xa003200 read=0xa003204 read=0xa003208 write=0xa003214 rest=600000"
says "costs exits" bulkhead config check /tmp/bad.dts
says "part +0x0a003200-0x0a0033ff +share-page" bulkhead config explain /tmp/bad.dts
uart1-wait 20 '^hostile: read 0xa003200: got 0x74726976'
uart1-wait 20 '^hostile: read 0xa003204: got 0x[12]$'
uart1-wait 20 '^hostile: read 0xa003208: got 0x0$'
uart1-wait 20 '^hostile: write 0xa003214: done'
is "exits of the cell" "$(parts bad)" 4
busy
[ "$(parts root)" -gt "$before" ] || fail "Linux has not come by EL2: $(bulkhead cell stats root)"
bulkhead map > /tmp/map
grep -qE '/virtio_mmio@a003200 +0x0a003200-0x0a0033ff .* bad$' /tmp/map || fail "the cell's: $(cat /tmp/map)"
grep -qE '/virtio_mmio@a003e00 +0x0a003e00-0x0a003fff .* root$' /tmp/map || fail "Linux's: $(cat /tmp/map)"
is "the state" "$(state bad)" running

echo "what a second cell may have of the page, and may not"
sed 's/"bad"/"other"/; s/"serial1", //; s/console = .*//' /tmp/bad.dts > /tmp/other.dts
refused 1 "DEVICE|belongs to cell 1.*'bad'" bulkhead cell create /tmp/other.dts
sed -i 's/a003200/a003400/g; s/bootargs = .*/console = "ring"; bootargs = "read=0xa003400 read=0xa003200";/' /tmp/other.dts
create /tmp/other.dts
bulkhead cell load other $inmates/hostile.elf > /dev/null
bulkhead cell start other > /dev/null
wait_for 20 is_state other failed
says "read 0xa003400: got 0x74726976" bulkhead console other --once
says "read of 4 bytes from 0x0*a003200 .*virtio_mmio@a003200.*bad" bulkhead cell show other
is "the neighbour" "$(state bad)" running
bulkhead cell destroy other > /dev/null
busy

echo "what is not its own, and what cannot be decoded"
for at in 0xa003000 0xa003400 0xa003e00; do
    bulkhead cell destroy bad > /dev/null
    bad "read=$at"
    wait_for 20 is_state bad failed
    busy
done
bulkhead cell destroy bad > /dev/null
bad "pair=0xa003200"
wait_for 20 is_state bad failed
says "access that cannot be decoded to 0x0a003200 .virtio_mmio@a003200" bulkhead cell show bad
bulkhead cell destroy bad > /dev/null

echo "Linux has the page back"
before=$(parts root)
busy
is "exits of Linux after all" "$(parts root)" "$before"

echo "Linux reads its own bytes of such a page, and not the cell's"
virt=0x74726976
# devmem ADDRESS: what Linux finds there; SIGBUS is exit status 135. Of a page without drivers.
cell /tmp/idle.dts idle 'devices = "/virtio_mmio@a002200"; share-page = "/virtio_mmio@a002200";'
create /tmp/idle.dts
is "its own" "$(busybox devmem 0xa002000 32)" $virt
is "its own, behind the cell's" "$(busybox devmem 0xa002400 32)" $virt
for at in 0xa002200 0xa0023fc; do
    status=0
    busybox devmem $at 32 > /dev/null 2>&1 || status=$?
    is "reading $at, the cell's" $status 135
done
bulkhead cell destroy idle > /dev/null
is "the cell's, after it" "$(busybox devmem 0xa002200 32)" $virt

echo "all widths, and a device that does not answer, which does no harm to EL2"
# fw_cfg: 0x18 bytes of registers, those at 0x10 of any width, and nothing behind them.
widths() {
    local width
    for width in 8 16 32 64; do
        busybox devmem 0x9020010 $width
    done
}
before=$(widths)
bulkhead debug blob /tmp/idle.dts --set devices.0.gpa=0x9020100 --set devices.0.hpa=0x9020100 > /tmp/idle.blob
bulkhead debug create-blob /tmp/idle.blob --linux-cpus 8 > /dev/null
count=$(parts root)
is "loads of 1, 2, 4, 8 bytes" "$(widths)" "$before"
is "the last of them" "$(widths | tail -n 1)" 0x47464320554D4551
is "exits for them" "$(parts root)" $((count + 8))
for at in 0x9020800 0x9020100; do
    status=0
    busybox devmem $at 32 > /dev/null 2>&1 || status=$?
    is "reading $at, where nothing is" $status 135
    status=0
    busybox devmem $at 32 1 > /dev/null 2>&1 || status=$?
    is "writing $at, where nothing is" $status 135
done
is "loads after it" "$(widths)" "$before"
says "enabled" bulkhead status
bulkhead debug command destroy 1 > /dev/null
before=$(parts root)
widths > /dev/null
is "exits of Linux after all" "$(parts root)" "$before"
bulkhead disable
