#!/bin/sh
# A cell that touches what is not its own is stopped, with a record of it; everyone else runs on; it can begin anew.
# run: --timeout 240
# run: --machine virt-v2 --timeout 240
# uart1-not: WRONG
. /usr/lib/scenario.sh
run_rtos
rtos_memory=$(bulkhead cell show rtos | sed -n 's/.*physically at \(.*\)/\1/p')
hypervisor=$(printf '%#x' "$(field hv_base)")

# fault WORD ADDRESS DEED WHOSE: the cell that obeys WORD=ADDRESS fails by a DEED at it, on CPU 2.
fault() {
    cell /tmp/bad.dts bad "bootargs = \"$1=$2\";"
    create /tmp/bad.dts
    bulkhead cell load bad $inmates/hostile.elf > /dev/null
    bulkhead cell start bad > /dev/null
    wait_for 10 is_state bad failed
    bulkhead cell show bad > /tmp/show
    sed -n '/last fault/,/ESR/p' /tmp/show
    at=$(printf '%#010x' "$2")
    grep -qE "last fault: cell bad, cpu@2: $3 $at \($4\) at pc 0x[0-9a-f]+" /tmp/show ||
        fail "no such record: $(cat /tmp/show)"
    # What executes elsewhere has its PC there; else it is in a function of the cell's own code, which is named.
    case "$1" in
        exec) grep -q "at pc $at\$" /tmp/show || fail "another PC: $(cat /tmp/show)" ;;
        *) grep -qE 'at pc 0x400[0-9a-f]* \(.*\+0x[0-9a-f]+\)$' /tmp/show || fail "another PC: $(cat /tmp/show)" ;;
    esac
    bulkhead log > /tmp/log
    grep -qE "cell bad, cpu@2: .* $at \($4\) at pc 0x[0-9a-f]+" /tmp/log || fail "not named in the log: $(tail -n 3 /tmp/log)"
    is "the other cell" "$(state rtos)" running
}

# deed WORD: what is said of it.
deed() {
    case "$1" in
        read) echo "read of [1248] bytes? from" ;;
        write) echo "write of [1248] bytes? to" ;;
        exec) echo "instruction fetch from" ;;
    esac
}

echo "memory of the hypervisor"
for word in read write exec; do
    deed=$(deed $word)
    fault $word "$hypervisor" "$deed" "the hypervisor's own memory"
    bulkhead cell destroy bad > /dev/null
done

echo "memory of another cell"
for word in read write exec; do
    deed=$(deed $word)
    fault $word "$rtos_memory" "$deed" ".*owned by rtos"
    bulkhead cell destroy bad > /dev/null
done

echo "memory and devices of Linux, the other cell's UART, nothing at all"
fault write 0x60000000 "$(deed write)" ".*owned by root"
bulkhead cell destroy bad > /dev/null
fault read 0x9000000 "$(deed read)" "pl011@9000000, owned by root"
bulkhead cell destroy bad > /dev/null
fault write 0x9040000 "$(deed write)" "pl011@9040000, owned by rtos"
bulkhead cell destroy bad > /dev/null
# The log names what is no more.
says "cell bad, cpu@2: write to 0x09040000 .*pl011@9040000" bulkhead log
says "cell bad destroyed" bulkhead log
fault read 0x7000000000 "$(deed read)" "nothing in the board's tree, .*"

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
