#!/bin/sh
# EL2 itself refuses blobs and calls that no command line of ours sends; Linux lives, nothing has changed.
# run: --no-enable --timeout 240
. /usr/lib/scenario.sh
modprobe bulkhead

# system REGEX SET...: a system blob with these words set is refused.
system() {
    local wanted="$1"
    shift
    # shellcheck disable=SC2068
    bulkhead debug system-blob $@ > /tmp/system.blob
    # Little memory: all of it is cleaned from the caches at each try.
    refused 1 "$wanted" bulkhead debug enable-blob /tmp/system.blob --hv-memory 512K --memory 1M
}

echo "the system's blob"
system "not the magic number" --set 0=0x4c4c4c
system "version 99, the hypervisor knows" --set 1=99
system "length is wrong" --set 2=8
system "length is wrong" --size 64
system "length is wrong" --size 0
system "length is wrong" --size 4096
system "length is wrong: 65536 bytes" --size 65536
system "0x8000010 .* not made of whole, aligned pages" --set 3=0x8000010
system "goes beyond" --set 4=0xfffffffffffff000
system "malformed: 0x9 at" --set 5=9
system "covers 0x50000000, which is RAM" --set 3=0x50000000
# The clock, and an address where no device is.
system "no GICv3 .GICD_PIDR2 is|nothing answers at" --set 3=0x9010000
system "nothing answers at 0x3f00ffe8" --set 3=0x3f000000
system "a list has 4294967296 entries" --set 6=0x100000000
system "the region at 0x1 .* not made of whole, aligned pages" --set 6=1
system "a list has 4294967296 entries" --set 7=0x100000000
system "a list has 65 entries" --set 10=65
system "malformed: 0x2 at" --set 12=2
system "CPU 0x0 .* is listed twice" --set 14=0
system "no redistributor .* for CPU 0x33" --set 14=0x33
system "goes beyond" --set 25=0xfffffffffffff000
bulkhead debug system-blob > /tmp/system.blob
online 0-3
bulkhead debug enable-blob /tmp/system.blob --hv-memory 512K --memory 64M
online 0-3

run_rtos
rtos_memory=$(bulkhead cell show rtos | sed -n 's/.*physically at \(.*\)/\1/p')
hypervisor=$(printf '%#x' "$(field hv_base)")
cell /tmp/good.dts good 'cpus = "/cpus/cpu@2";' 'devices = "/pl031@9010000";' \
    'memory = <0 0x40000000 0 0x200000 0 0x50000000 0 0x200000>;'

# blob REGEX SET...: a cell's blob with these words set is refused; Linux has given CPU 2 up for it, and gets it back.
mask=4
blob() {
    local wanted="$1"
    shift
    # shellcheck disable=SC2068
    bulkhead debug blob /tmp/good.dts $@ > /tmp/cell.blob
    refused 1 "$wanted" bulkhead debug create-blob /tmp/cell.blob --linux-cpus $mask
}

echo "a cell's blob: form"
blob "not the magic number" --set magic=1
blob "version 0, the hypervisor knows" --set version=0
blob "length is wrong" --set length=1
blob "length is wrong" --size 16
blob "length is wrong" --size 0
blob "length is wrong: 16385 bytes" --size 16385
blob "more than the .* room for" --set cpus=0xffffffff
blob "a cell's name is" --set name=0
blob "a cell's name is" --set name=0x2f2e2e
blob "is the name of the root cell" --set name=0x746f6f72
blob "cell 1 has this name already" --set name=0x736f7472

blob "malformed: 0x2 at" --set delivery=2

echo "CPUs"
blob "CPU 0x9 .* does not exist" --set cpus.0=9
blob "malformed: 0xffffffffffffffff at" --set cpus.0=0xffffffffffffffff
blob "CPU 0x3 .* belongs to cell 1" --set cpus.0=3
blob "CPU 0x1 .* still used by Linux" --set cpus.0=1
mask=0
blob "CPU 0x2 .* still used by Linux"
mask=7
blob "CPU 0x[0-2] .* is the last one that Linux has" --set cpus.0=0
mask=8
blob "CPU 0x3 .* belongs to cell 1" --set cpus.0=3
mask=0x8000000000000000
blob "Linux did not give its CPU 63 up"
mask=4

echo "memory"
blob "0x40000000 is empty" --set memory.0.size=0
blob "not made of whole, aligned pages" --set memory.0.size=0x1001
blob "0x40000008 .* not made of whole, aligned pages" --set memory.0.gpa=0x40000008
blob "goes beyond" --set memory.0.gpa=0xfffffffffffff000
blob "goes beyond" --set memory.0.size=0xfffffffffffff000
blob "0x40000000 and at 0x40100000 overlap" --set memory.1.gpa=0x40100000
blob "malformed: 0x2 at" --set memory.0.fixed=2
blob "$hypervisor belongs to the hypervisor" --set memory.0.fixed=1 --set memory.0.hpa=$hypervisor
blob "0x50000000 belongs to Linux" --set memory.0.fixed=1 --set memory.0.hpa=0x50000000
blob "no RAM at 0x8000000000" --set memory.0.fixed=1 --set memory.0.hpa=0x8000000000
blob "no RAM at 0x0" --set memory.0.fixed=1 --set memory.0.hpa=0
blob "$rtos_memory belongs to cell 1" --set memory.0.fixed=1 --set memory.0.hpa=$rtos_memory
blob "0xffffffffffe00000 .* goes beyond" --set memory.0.fixed=1 --set memory.0.hpa=0xffffffffffe00000
blob "of contiguous memory is wanted" --set memory.0.size=0x8000000
blob "0x8000000 is the interrupt controller" --set memory.0.gpa=0x8000000

echo "devices and interrupts"
blob "covers 0x60000000, which is RAM" --set devices.0.hpa=0x60000000
blob "0x8000000 is the interrupt controller" --set devices.0.hpa=0x8000000
blob "0x80a0000 is the interrupt controller" --set devices.0.hpa=0x80a0000
blob "$hypervisor belongs to the hypervisor" --set devices.0.hpa=$hypervisor
blob "0x9040000 belongs to cell 1" --set devices.0.hpa=0x9040000
blob "0x9010001 .* not made of whole, aligned pages" --set devices.0.hpa=0x9010001
blob "0x40000000 and at 0x40000000 overlap" --set devices.0.gpa=0x40000000
blob "goes beyond" --set devices.0.size=0xfffffffffffff000
blob "interrupt 40 belongs to cell 1" --set spis.0=40
blob "interrupt 27 is not a shared" --set spis.0=27
blob "interrupt 1019 is not a shared" --set spis.0=1019
blob "interrupt 4294967295 is not a shared" --set spis.0=0xffffffff

echo "calls"
head -c 20000 /dev/urandom > /tmp/bytes
for id in 0 2 7 99 0xffffffffffffffff; do
    for what in start stop destroy; do
        refused 1 "no cell [0-9]+" bulkhead debug command $what $id
    done
done
for id in 0 2 99; do
    refused 1 "no cell $id" bulkhead debug load $id 0x40000000 /tmp/bytes
    refused 1 "no cell $id" bulkhead debug loaded $id 0x40000000 0
done
refused 1 "running" bulkhead debug load 1 0x40000000 /tmp/bytes
refused 1 "running" bulkhead debug loaded 1 0x40000000 0
rtos_reports
bulkhead cell stop rtos
for gpa in 0 0x3fffffff 0x41000000 0x40fff000 0x9040000 0xfffffffffffff000 0xffffffffffffffff; do
    refused 1 "do not fit the cell's memory" bulkhead debug load 1 $gpa /tmp/bytes
done

echo "good ones are taken"
bulkhead debug blob /tmp/good.dts > /tmp/cell.blob
bulkhead debug create-blob /tmp/cell.blob --linux-cpus 4
online 0-1
bulkhead debug load 2 0x40000000 /tmp/bytes
refused 1 "entry point 0x60000000" bulkhead debug loaded 2 0x60000000 0
refused 1 "entry point 0x40200000" bulkhead debug loaded 2 0x40200000 0
refused 1 "state is .loading." bulkhead debug command start 2
bulkhead debug loaded 2 0x40000000 0
bulkhead debug command start 2
bulkhead debug command destroy 2
online 0-2
bulkhead cell start rtos
rtos_reports
bulkhead cell destroy rtos
bulkhead disable
online 0-3
