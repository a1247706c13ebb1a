#!/bin/sh
# A cell that touches what is not its own is stopped, with a record of it; everyone else runs on; it can begin anew.
# run: --timeout 240
# uart1-not: WRONG
. /usr/lib/scenario.sh
run_rtos
rtos_memory=$(bulkhead cell show rtos | sed -n 's/.*physically at \(.*\)/\1/p')
hypervisor=$(printf '%#x' "$(field hv_base)")

# fault WORD ADDRESS KIND: the cell that obeys WORD=ADDRESS fails by a KIND of ADDRESS, on CPU 2.
fault() {
    cell /tmp/bad.dts bad "bootargs = \"$1=$2\";"
    create /tmp/bad.dts
    bulkhead cell load bad $inmates/bad.elf > /dev/null
    bulkhead cell start bad > /dev/null
    wait_for 10 is_state bad failed
    bulkhead cell show bad > /tmp/show
    sed -n '/last fault/,/ESR/p' /tmp/show
    grep -q "last fault: $3 of $2 by CPU 2 at PC 0x[0-9a-f]" /tmp/show || fail "no such record: $(cat /tmp/show)"
    # What executes elsewhere has its PC there; else it is in the cell's own code.
    case "$1" in
        exec) grep -q "at PC $2\$" /tmp/show || fail "another PC: $(cat /tmp/show)" ;;
        *) grep -q 'at PC 0x400[0-9a-f]*$' /tmp/show || fail "another PC: $(cat /tmp/show)" ;;
    esac
    grep -q "that address: $4" /tmp/show || fail "another owner: $(cat /tmp/show)"
    is "the other cell" "$(state rtos)" running
}

echo "memory of the hypervisor"
for word in read write exec; do
    kind=$word
    [ $word != exec ] || kind=fetch
    fault $word "$hypervisor" $kind "the hypervisor's own memory"
    bulkhead cell destroy bad > /dev/null
done

echo "memory of another cell"
for word in read write exec; do
    kind=$word
    [ $word != exec ] || kind=fetch
    fault $word "$rtos_memory" $kind ".*owned by rtos"
    bulkhead cell destroy bad > /dev/null
done

echo "memory and devices of Linux, the other cell's UART, nothing at all"
fault write 0x60000000 write ".*owned by root"
bulkhead cell destroy bad > /dev/null
fault read 0x9000000 read "/pl011@9000000, owned by root"
bulkhead cell destroy bad > /dev/null
fault write 0x9040000 write "/pl011@9040000, owned by rtos"
bulkhead cell destroy bad > /dev/null
fault read 0x7000000000 read "nothing in the board's tree"

echo "it begins anew, and fails again"
for round in 1 2; do
    echo "round $round"
    bulkhead cell start bad > /dev/null
    wait_for 10 is_state bad failed
done
refused 1 "cell 'bad'.*failed" bulkhead cell stop bad
bulkhead cell destroy bad
rtos_reports
online 0-2
echo "the CPU that failed is as good as any"
cell /tmp/hello.dts hello
create /tmp/hello.dts
bulkhead cell load hello $inmates/hello.elf > /dev/null
bulkhead cell start hello > /dev/null
is "the cell" "$(state hello)" running
bulkhead cell destroy hello
bulkhead cell destroy rtos
online 0-3
bulkhead disable
