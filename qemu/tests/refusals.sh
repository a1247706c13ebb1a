#!/bin/sh
# What cannot be is refused by the command line with the thing, its value and the reason; nothing has changed then.
# run: --no-enable --timeout 300
. /usr/lib/scenario.sh
elf=$inmates/hello.elf

# every_command CODE REGEX: all that need more than there is.
every_command() {
    refused "$1" "$2" bulkhead disable
    refused "$1" "$2" bulkhead log
    refused "$1" "$2" bulkhead cell create $cells/rtos.dts
    refused "$1" "$2" bulkhead cell load rtos $elf
    for command in start stop restart destroy show stats; do
        refused "$1" "$2" bulkhead cell $command rtos
    done
    refused "$1" "$2" bulkhead cell list
}

echo "without the module"
every_command 4 "module is not loaded: modprobe bulkhead"
refused 4 "module is not loaded: modprobe bulkhead" bulkhead enable
refused 4 "module is not loaded: modprobe bulkhead" bulkhead status
modprobe bulkhead

echo "not enabled"
every_command 4 "not enabled"

echo "enable"
refused 1 "given 64 KiB, it needs [0-9]+ KiB.*--hv-memory" bulkhead enable --hv-memory 64K
refused 1 "given 128 KiB, it needs [0-9]+ KiB.*--hv-memory" bulkhead enable --hv-memory 128K
refused 1 "given 0 bytes" bulkhead enable --hv-memory 0
refused 1 "--hv-memory 0x80001: not a multiple" bulkhead enable --hv-memory 0x80001
refused 1 "--memory 0x801: not a multiple" bulkhead enable --memory 0x801
refused 1 "no 4194816 KiB of contiguous memory" bulkhead enable --memory 4G
refused 1 "contiguous memory" bulkhead enable --memory 0xfffffffffffff000
refused 2 "want a size such as" bulkhead enable --memory much
online 0-3
bulkhead enable
refused 1 "enabled already" bulkhead enable

run_rtos
rtos_memory=$(bulkhead cell show rtos | sed -n 's/.*physically at \(.*\)/\1/p')
hypervisor=$(printf '%#x' "$(field hv_base)")

# file REGEX PROPERTY...: a cell's file with these is wrong in itself.
file() {
    local wanted="$1"
    shift
    cell /tmp/wrong.dts wrong "$@"
    refused 3 "/tmp/wrong.dts: .*$wanted" bulkhead cell create /tmp/wrong.dts
}

# taken REGEX PROPERTY...: it is refused for what others have.
taken() {
    local wanted="$1"
    shift
    cell /tmp/wrong.dts wrong "$@"
    refused 1 "/tmp/wrong.dts: .*$wanted" bulkhead cell create /tmp/wrong.dts
}

echo "memory"
file "'memory': .* 0x40000000 and at 0x40100000 overlap" 'memory = <0 0x40000000 0 0x200000 0 0x40100000 0 0x200000>;'
file "'memory': .*0x40000000.* not made of whole, aligned pages" 'memory = <0 0x200800>;'
file "'memory': .*0x40000800.* not made of whole, aligned pages" 'memory = <0 0x40000800 0 0x200000>;'
taken "'memory.*': .*$hypervisor.* belongs to the hypervisor" "memory-physical = <0 $hypervisor>;"
file "'memory-physical': .*0x50000010.* not made of whole, aligned pages" 'memory-physical = <0 0x50000010>;'
file "'memory': .*0xfffffffffffff000 with size 0x2000 goes beyond" 'memory = <0xffffffff 0xfffff000 0 0x2000>;'
file "'memory': .*0x40000000 with size 0xfffffffffffff000 goes beyond" 'memory = <0xffffffff 0xfffff000>;'
file "'memory': .*0x40000000 is empty" 'memory = <0 0>;'
file "'memory': it is missing" '/delete-property/ memory;'
file "'memory-physical': there is no RAM at 0x100000000" 'memory-physical = <1 0>;'
taken "'memory-physical': .*0x50000000 belongs to Linux" 'memory-physical = <0 0x50000000>;'
taken "'memory-physical': .*$rtos_memory belongs to cell 1.*'rtos'" "memory-physical = <0 $rtos_memory>;"
taken "'memory': 128 MiB of contiguous memory is wanted, .* is [0-9]+ [KM]iB" 'memory = <0 0x8000000>;'

echo "CPUs"
taken "'cpus': .*CPU 0x2 .* last one that Linux has" 'cpus = "/cpus/cpu@0", "/cpus/cpu@1", "/cpus/cpu@2";'
file "'cpus': .* no node '/cpus/cpu@7'" 'cpus = "/cpus/cpu@7";'
file "'cpus': '/pl011@9040000' is not a CPU" 'cpus = "/pl011@9040000";'
file "'cpus': '/cpus/cpu@2' is listed twice" 'cpus = "/cpus/cpu@2", "/cpus/cpu@2";'
taken "'cpus': CPU 0x3 .* belongs to cell 1.*'rtos'" 'cpus = "/cpus/cpu@3";'
taken "'cpus': <3> CPUs wanted, 2 can be had" 'cpus = <3>;'
file "'cpus': <4> CPUs wanted, 2 can be had" 'cpus = <4>;'
file "'cpus': <0x0> is not a number from 1" 'cpus = <0>;'

echo "devices"
taken "'devices': /pl011@9040000: .*0x9040000 belongs to cell 1.*'rtos'" 'devices = "serial1";'
file "'devices': /pl011@9000000: Linux itself prints on it \(ttyAMA0\)" 'devices = "/pl011@9000000";'
file "'devices': .*interrupt controller cannot be given away" 'devices = "/intc@8000000";'
file "'devices': .*'/memory@40000000'.* memory in 'memory'" 'devices = "/memory@40000000";'
file "'devices': .* no alias 'serial9'" 'devices = "serial9";'
file "'devices': .*shares its page at 0xa000000 with" 'devices = "/virtio_mmio@a000000";'
file "'console': 'serial0' is not one of the cell's devices" 'console = "serial0";'

echo "other content"
file "'cpu': no such property" 'cpu = <1>;'
file "a cell file has no nodes" 'sub { };'
echo 'bulkhead,cell' > /tmp/garbage.dts
refused 3 "/tmp/garbage.dts" bulkhead cell create /tmp/garbage.dts
head -c 4096 /dev/urandom > /tmp/garbage.dtb
refused 3 "/tmp/garbage.dtb" bulkhead cell create /tmp/garbage.dtb
refused 5 "/tmp/nothing.dts: No such file" bulkhead cell create /tmp/nothing.dts
cell /tmp/taken.dts rtos 'cpus = <3>;'
refused 1 "'model': .* has this name already" bulkhead cell create /tmp/taken.dts
cell /tmp/taken.dts root
refused 1 "'model': .*root. is the name of the root cell" bulkhead cell create /tmp/taken.dts
cell /tmp/taken.dts 'a b'
refused 3 "'model': 'a b': a cell's name is" bulkhead cell create /tmp/taken.dts

echo "cells in another state, and none"
refused 1 "cell 'rtos': it is running: .bulkhead cell stop rtos. first" bulkhead cell load rtos $elf
refused 1 "cell 'rtos': it is running: .bulkhead cell restart rtos. starts it anew" bulkhead cell start rtos
refused 1 "cells exist.*rtos" bulkhead disable
for command in start stop restart destroy show stats; do
    refused 1 "no cell.*'nosuch'|cell 'nosuch'" bulkhead cell $command nosuch
done
refused 1 "no cell.*'nosuch'|cell 'nosuch'" bulkhead cell load nosuch $elf
for command in start stop restart destroy; do
    refused 1 "root" bulkhead cell $command root
done
refused 1 "root" bulkhead cell load root $elf
refused 2 "unrecognized subcommand" bulkhead cell delete rtos
refused 2 "required arguments" bulkhead cell stop

echo "images"
cell /tmp/small.dts small
create /tmp/small.dts
refused 1 "cell 'small': it is created and has no image" bulkhead cell start small
refused 1 "cell 'small': it is created: only what runs can be stopped" bulkhead cell stop small
refused 5 "/tmp/nothing.elf: No such file" bulkhead cell load small /tmp/nothing.elf
truncate -s 3M /tmp/big.bin
size="/tmp/big.bin: 3145728 bytes"
refused 1 "$size at 0x40000000 do not fit .*0x40000000 .2097152 bytes" bulkhead cell load small /tmp/big.bin
refused 1 "$size at 0x80000000 do not fit" bulkhead cell load small /tmp/big.bin --address 0x80000000
truncate -s 0 /tmp/empty.bin
refused 1 "/tmp/empty.bin.*0 bytes" bulkhead cell load small /tmp/empty.bin
printf '\177ELF' > /tmp/cut.elf
refused 1 "/tmp/cut.elf" bulkhead cell load small /tmp/cut.elf

rtos_reports
online 0-1
bulkhead cell destroy small
bulkhead cell destroy rtos
bulkhead disable
refused 4 "not enabled: there is nothing to disable" bulkhead disable

echo "just enough for the hypervisor, too little for a cell"
needed=$(bulkhead enable --hv-memory 64K 2>&1 | sed -n 's/.*it needs \([0-9]* [KM]\)iB.*/\1/p' | tr -d ' ')
while ! bulkhead enable --hv-memory "$needed" > /tmp/enable.out 2>&1; do
    larger=$(sed -n 's/.*it needs \([0-9]* [KM]\)iB.*/\1/p' /tmp/enable.out | tr -d ' ')
    [ "$larger" != "$needed" ] || fail "$needed are and are not enough: $(cat /tmp/enable.out)"
    needed=$larger
done
echo "least: $needed"
made=
for name in first second third; do
    # Regions apart from each other take the most tables.
    cell /tmp/$name.dts $name 'memory = <0 0x40000000 0 0x10000 1 0 0 0x1000 0x40 0 0 0x1000 0x80 0 0 0x1000>;'
    before=$(snapshot)
    if bulkhead cell create /tmp/$name.dts > /tmp/create.out 2>&1; then
        made="$name $made"
    else
        cat /tmp/create.out
        grep -q 'hypervisor needs [0-9]* pages more and has [0-9]* left' /tmp/create.out || fail "refused otherwise"
        is "what is there after it" "$(snapshot)" "$before"
    fi
done
echo "cells: ${made:-none}"
[ "$made" != "third second first " ] || fail "the least memory is enough for any cells"
for name in $made; do bulkhead cell destroy "$name"; done
bulkhead disable
online 0-3

echo "memory that no block maps takes more of the hypervisor's than it has"
cell /tmp/large.dts large 'memory = <0 0xc000000>;'
bulkhead enable --memory 192M > /dev/null
refused 1 "'memory': 192 MiB of it .* no block of 2 MiB .* enable with --memory 194M" bulkhead cell create /tmp/large.dts
bulkhead disable
bulkhead enable --memory 194M > /dev/null
create /tmp/large.dts
bulkhead cell destroy large
bulkhead disable
online 0-3
